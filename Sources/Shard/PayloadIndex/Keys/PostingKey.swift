internal import DataModel

/// What the keys of `postings` begin with: an index and one of its values. Behind it stands the chunk, `slot >> 16`.
///
/// ```
/// 0            2     3                                            n        n + 2
/// ├────────────┼─────┼────────────────────────────────────────────┼────────┤
/// │ index      │ tag │ value                                      │ chunk  │   integers are big-endian
/// ```
struct PostingKey: Hashable {
    /// Without the chunk.
    let bytes: [UInt8]

    private enum Tag: UInt8 {
        case rows = 0
        case text = 1
        case longText = 2
        case bool = 3
        case uuid = 4
    }

    /// What an index knows of rows beside their values.
    enum Rows: UInt8 {
        /// The path leads to something: `is_empty` does not hold.
        case present = 0
        /// `is_null` holds.
        case null = 1
        /// The row has anything but one single value that the index holds: several, or of another type.
        case irregular = 2
        /// A number of the row is written as a fraction and is none, such as 5.0: whether it equals the integer is for
        /// the filter to say.
        case integralFraction = 3
    }

    /// LMDB's keys have 511 bytes at most. A longer text is known by its length and hash, and so only in all likelihood.
    static let maximumTextBytes = 480

    private init(_ index: UInt16, _ tag: Tag, valueBytes: Int, _ appendValue: (inout [UInt8]) -> Void) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(3 + valueBytes)
        bytes.append(bigEndian: index)
        bytes.append(tag.rawValue)
        appendValue(&bytes)
        self.bytes = bytes
    }

    init(index: UInt16, rows: Rows) { self.init(index, .rows, valueBytes: 1) { $0.append(rows.rawValue) } }

    init(index: UInt16, bool: Bool) { self.init(index, .bool, valueBytes: 1) { $0.append(bool ? 1 : 0) } }

    /// A UUID as it is usually written takes its 16 bytes instead.
    init(index: UInt16, uuid text: String) {
        guard text.utf8.count == 36, let id = PointID(uuidText: text), case .uuid(let high, let low) = id,
            id.text == text
        else {
            self.init(index: index, text: text)
            return
        }
        self.init(index, .uuid, valueBytes: 16) { bytes in
            bytes.append(bigEndian: high)
            bytes.append(bigEndian: low)
        }
    }

    /// A keyword or token. Its length comes first: no value's keys lie between those of another.
    init(index: UInt16, text: String) {
        var text = text
        self = text.withUTF8 { utf8 in
            if utf8.count <= Self.maximumTextBytes {
                return PostingKey(index, .text, valueBytes: 2 + utf8.count) { bytes in
                    bytes.append(bigEndian: UInt16(utf8.count))
                    bytes.append(contentsOf: utf8)
                }
            }
            return PostingKey(index, .longText, valueBytes: 12) { bytes in
                bytes.append(bigEndian: UInt32(utf8.count))
                bytes.append(bigEndian: Format.checksum(UnsafeRawBufferPointer(utf8)))
            }
        }
    }

    /// Whether another value could have the same key.
    static func isAmbiguous(_ text: String) -> Bool { text.utf8.count > maximumTextBytes }

    func key(chunk: UInt16) -> [UInt8] {
        var key = bytes
        key.append(bigEndian: chunk)
        return key
    }

    /// The chunk of a key of `postings` if the key is this value's.
    func chunk(ofKey key: UnsafeRawBufferPointer) -> UInt16? {
        guard key.count == bytes.count + 2, key.prefix(bytes.count).elementsEqual(bytes) else { return nil }
        return UInt16(bigEndian: key.loadUnaligned(fromByteOffset: bytes.count, as: UInt16.self))
    }
}

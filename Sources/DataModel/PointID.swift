import CXXHash

/// The identity of a point: an unsigned 64-bit number or a UUID.
///
/// Numbers order before UUIDs; within a kind the order is numeric, which is also the byte order of `keyBytes`.
package enum PointID: Hashable, Sendable, Comparable {
    case number(UInt64)
    case uuid(high: UInt64, low: UInt64)

    /// The longest encoding that `keyBytes` yields.
    package static let maximumKeyLength = 17

    package static func < (lhs: PointID, rhs: PointID) -> Bool {
        switch (lhs, rhs) {
        case (.number(let a), .number(let b)): a < b
        case (.number, .uuid): true
        case (.uuid, .number): false
        case (.uuid(let ah, let al), .uuid(let bh, let bl)): (ah, al) < (bh, bl)
        }
    }

    /// The id as bytes whose lexicographic order is the order of ids: a kind byte, then big-endian digits.
    package var keyBytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.maximumKeyLength)
        switch self {
        case .number(let value):
            bytes.append(0)
            bytes.append(bigEndian: value)
        case .uuid(let high, let low):
            bytes.append(1)
            bytes.append(bigEndian: high)
            bytes.append(bigEndian: low)
        }
        return bytes
    }

    /// Reads what `keyBytes` wrote; nil when the bytes are not such an encoding.
    package init?(keyBytes bytes: UnsafeRawBufferPointer) {
        switch (bytes.first, bytes.count) {
        case (0, 9):
            self = .number(UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt64.self)))
        case (1, 17):
            self = .uuid(
                high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 9, as: UInt64.self)))
        default:
            return nil
        }
    }

    /// XXH64 (seed 0) over the id's big-endian digits, without the kind byte: what decides its virtual shard, for ever.
    package var hash64: UInt64 {
        keyBytes.withUnsafeBytes { bytes in
            shoal_xxh64(bytes.baseAddress.map { $0 + 1 }, bytes.count - 1, 0)
        }
    }
}

// MARK: - UUID text

extension PointID {
    /// Parses a UUID in the forms that Qdrant takes: hyphenated, 32 plain hex digits, or with the `urn:uuid:` prefix.
    package init?(uuidText text: some StringProtocol) {
        var text = text[...]
        if text.hasPrefix("urn:uuid:") { text = text.dropFirst(9) }
        var digits: [UInt8] = []
        digits.reserveCapacity(32)
        for (index, byte) in text.utf8.enumerated() {
            if byte == UInt8(ascii: "-") {
                guard text.utf8.count == 36, [8, 13, 18, 23].contains(index) else { return nil }
                continue
            }
            guard let digit = Character(UnicodeScalar(byte)).hexDigitValue else { return nil }
            digits.append(UInt8(digit))
        }
        guard digits.count == 32, text.utf8.count == 32 || text.utf8.count == 36 else { return nil }
        self = .uuid(
            high: digits[..<16].reduce(0) { $0 << 4 | UInt64($1) },
            low: digits[16...].reduce(0) { $0 << 4 | UInt64($1) })
    }

    /// The hyphenated lower-case form of a UUID, or the number in decimal.
    package var text: String {
        switch self {
        case .number(let value):
            return String(value)
        case .uuid(let high, let low):
            let hex = Array((Self.padded(high) + Self.padded(low)).utf8)
            let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(decoding: hex[$0], as: UTF8.self) }
            return parts.joined(separator: "-")
        }
    }

    private static func padded(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension PointID: CustomStringConvertible {
    package var description: String { text }
}

extension [UInt8] {
    /// Appends `value` most significant byte first, so that byte order is numeric order.
    package mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}

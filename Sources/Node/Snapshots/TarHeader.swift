/// The 512 bytes before each file of a tar archive (POSIX ustar). Sizes from 8 GiB on are written as GNU tar does, in
/// binary.
struct TarHeader: Equatable {
    static let byteCount = 512

    var name: String
    var bytes: UInt64

    /// Contents are filled up to whole blocks.
    static func padding(after bytes: UInt64) -> Int { Int((512 - bytes % 512) % 512) }

    private static let magic = Array("ustar".utf8)
    private static let checksumField = 148..<156
    private static let sizeField = 124..<136
    /// The largest size in 11 octal digits.
    private static let largestOctal: UInt64 = 1 << 33 - 1

    /// - Precondition: the name has at most 100 bytes.
    var encoded: [UInt8] {
        precondition(name.utf8.count <= 100)
        var block = [UInt8](repeating: 0, count: Self.byteCount)
        func put(_ text: some Sequence<UInt8>, at offset: Int) {
            for (index, byte) in text.enumerated() { block[offset + index] = byte }
        }
        put(name.utf8, at: 0)
        put("0000644".utf8, at: 100)
        put("0000000".utf8, at: 108)
        put("0000000".utf8, at: 116)
        if bytes <= Self.largestOctal {
            put(Self.octal(bytes, digits: 11).utf8, at: Self.sizeField.lowerBound)
        } else {
            block[Self.sizeField.lowerBound] = 0x80
            for index in 0..<8 {
                block[Self.sizeField.upperBound - 1 - index] = UInt8(truncatingIfNeeded: bytes >> (8 * index))
            }
        }
        put("00000000000".utf8, at: 136)
        put("0".utf8, at: 156)
        put(Self.magic, at: 257)
        put("00".utf8, at: 263)
        put(Self.octal(UInt64(Self.checksum(block)), digits: 6).utf8, at: Self.checksumField.lowerBound)
        block[Self.checksumField.upperBound - 1] = UInt8(ascii: " ")
        return block
    }

    init(name: String, bytes: UInt64) {
        self.name = name
        self.bytes = bytes
    }

    /// Nil when the bytes are no header of an ordinary file; they may be the end of the archive.
    init?(_ block: [UInt8]) {
        guard block.count == Self.byteCount, block[257..<262].elementsEqual(Self.magic),
            block[156] == UInt8(ascii: "0") || block[156] == 0,
            let checksum = Self.number(block[Self.checksumField]), checksum == UInt64(Self.checksum(block)),
            let name = String(validating: block[0..<100].prefix { $0 != 0 }, as: UTF8.self)
        else { return nil }
        let size = block[Self.sizeField]
        if size.first == 0x80 {
            bytes = size.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
        } else {
            guard let octal = Self.number(size) else { return nil }
            bytes = octal
        }
        self.name = name
    }

    private static func octal(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 8)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    private static func number(_ field: ArraySlice<UInt8>) -> UInt64? {
        let digits = field.prefix { $0 != 0 && $0 != UInt8(ascii: " ") }
        return UInt64(String(decoding: digits, as: UTF8.self), radix: 8)
    }

    /// The sum of all bytes, those of the checksum itself counted as spaces.
    private static func checksum(_ block: [UInt8]) -> Int {
        block.enumerated().reduce(0) { sum, entry in
            sum + Int(checksumField.contains(entry.offset) ? UInt8(ascii: " ") : entry.element)
        }
    }
}

internal import DataModel

/// Small values with a checksum, so that a flipped bit is noticed by whoever reads them and never answered from.
///
/// The checksum is XXH3 of the bytes, mixed with the number that the value is filed under: a value that turns up under
/// another key is not taken for that key's.
enum Sealed {
    static let byteCount = 8

    /// The checksum (8 bytes, little-endian), then `bytes`.
    static func bytes(_ bytes: [UInt8], at number: UInt64 = 0) -> [UInt8] {
        var sealed: [UInt8] = []
        sealed.reserveCapacity(byteCount + bytes.count)
        let sum = bytes.withUnsafeBytes { checksum($0, number) }
        withUnsafeBytes(of: sum.littleEndian) { sealed.append(contentsOf: $0) }
        sealed.append(contentsOf: bytes)
        return sealed
    }

    /// What `bytes` sealed.
    ///
    /// - Throws: `corrupted`, which names the value as `name` does.
    static func contents(
        of value: UnsafeRawBufferPointer, at number: UInt64 = 0, _ name: @autoclosure () -> String
    ) throws -> UnsafeRawBufferPointer {
        guard value.count >= byteCount else { throw ShardError.corrupted(reason: "\(name()) is too short") }
        let contents = UnsafeRawBufferPointer(rebasing: value[byteCount...])
        guard UInt64(littleEndian: value.loadUnaligned(as: UInt64.self)) == checksum(contents, number) else {
            throw ShardError.corrupted(reason: "the checksum of \(name()) does not match")
        }
        return contents
    }

    /// What stands for a key that is no number.
    static func number(of key: UnsafeRawBufferPointer) -> UInt64 { Format.checksum(key) }

    static func number(of key: [UInt8]) -> UInt64 { key.withUnsafeBytes { number(of: $0) } }

    private static func checksum(_ bytes: UnsafeRawBufferPointer, _ number: UInt64) -> UInt64 {
        // An odd factor: different numbers give different masks.
        Format.checksum(bytes) ^ number &* 0x9E37_79B9_7F4A_7C15
    }
}

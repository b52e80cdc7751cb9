internal import DataModel
internal import LMDB

/// A block as an LMDB value: padding that starts with the checksum of the rows and the key, then the rows.
enum BlockValue {
    static func put(
        _ rows: UnsafeRawBufferPointer, at key: [UInt8], in table: Table, _ transaction: borrowing WriteTransaction
    ) throws {
        let sum = checksum(rows, at: key)
        try transaction.reserve(Format.blockPadding + rows.count, at: key, in: table) { value in
            let padding = UnsafeMutableRawBufferPointer(rebasing: value[..<Format.blockPadding])
            padding.initializeMemory(as: UInt8.self, repeating: 0)
            padding.storeBytes(of: sum.littleEndian, as: UInt64.self)
            UnsafeMutableRawBufferPointer(rebasing: value[Format.blockPadding...]).copyMemory(from: rows)
        }
    }

    /// The rows' address. Reads only the size, so that opening a shard does not read its data.
    static func rows(of value: UnsafeRawBufferPointer, byteCount: Int) throws -> UnsafeRawPointer {
        guard value.count == Format.blockPadding + byteCount, let base = value.baseAddress else {
            throw ShardError.corrupted(reason: "a block has \(value.count) bytes instead of \(byteCount)")
        }
        return base + Format.blockPadding
    }

    /// Whether the rows are those that were written at the key.
    static func isSound(_ value: UnsafeRawBufferPointer, at key: [UInt8]) -> Bool {
        guard value.count >= Format.blockPadding else { return false }
        let sum = UInt64(littleEndian: value.loadUnaligned(as: UInt64.self))
        return sum == checksum(UnsafeRawBufferPointer(rebasing: value[Format.blockPadding...]), at: key)
    }

    private static func checksum(_ rows: UnsafeRawBufferPointer, at key: [UInt8]) -> UInt64 {
        Format.checksum(rows) ^ Sealed.number(of: key)
    }
}

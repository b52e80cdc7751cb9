internal import DataModel
internal import LMDB
internal import VectorIndex

/// Which vector blocks of a space were found sound since the shard was opened. A row is not answered with before its block
/// is: reading a block through for its checksum takes tens of microseconds, once.
struct CheckedBlocks: Sendable {
    private let space: Int
    private let marks: Column

    init(space: Int) throws {
        self.space = space
        marks = try Column(rowBytes: 8, maximumRows: Limits.rowsPerShard / Format.rowsPerBlock + 1)
    }

    /// - Parameter slotCount: rows that the transaction sees at least; the last, unfinished block of those is in memory.
    /// - Throws: `corrupted` when the row's block is not what was written.
    @inline(__always)
    func check(_ slot: UInt32, slotCount: UInt32, _ store: PointStore, _ transaction: borrowing ReadTransaction) throws {
        let block = slot / UInt32(Format.rowsPerBlock)
        if marks.word(block) != 0 || block >= slotCount / UInt32(Format.rowsPerBlock) { return }
        try checkBlock(block, store, transaction)
    }

    @inline(never)
    private func checkBlock(_ block: UInt32, _ store: PointStore, _ transaction: borrowing ReadTransaction) throws {
        let key = Format.vectorBlockKey(space: space, block: Int(block))
        guard let value = try transaction.get(key, in: store.vectors) else {
            throw ShardError.corrupted(reason: "vector block \(block) of space \(space) is missing")
        }
        // All of it at once, not page by page.
        ReadAhead.ask(for: value.baseAddress, byteCount: value.count)
        guard BlockValue.isSound(value, at: key) else {
            throw ShardError.corrupted(reason: "the checksum of vector block \(block) of space \(space) does not match")
        }
        marks.setWord(1, of: block)
    }
}

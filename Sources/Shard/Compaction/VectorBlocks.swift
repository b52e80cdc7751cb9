internal import DataModel
internal import LMDB
internal import Synchronization
internal import VectorIndex

/// The raw vectors of one pinned state of a generation, read in order of slots; each block is checked when it is entered,
/// so that damage is not copied under a new checksum.
struct VectorBlocks {
    private let source: ShardGeneration
    private let storedRows: UInt32
    private let tail: UnfinishedRows
    private var number = -1
    /// By space, the rows of block `number`.
    private var blocks: [UnsafeRawPointer] = []
    /// Of all spaces.
    let bytesPerRow: Int

    init(_ source: ShardGeneration, storedRows: UInt32, tail: UnfinishedRows) {
        (self.source, self.storedRows, self.tail) = (source, storedRows, tail)
        bytesPerRow = source.vectors.reduce(0) { $0 + $1.column.rowBytes }
    }

    /// The row's vector in each space; valid until the next call, and as long as the transaction.
    mutating func rows(at slot: UInt32, _ transaction: borrowing ReadTransaction) throws -> [UnsafeRawPointer] {
        let wanted = Int(slot) / Format.rowsPerBlock
        if wanted != number {
            blocks = slot < storedRows ? try stored(block: wanted, transaction) : tail.blocks.map { UnsafeRawPointer($0) }
            number = wanted
        }
        let row = Int(slot) % Format.rowsPerBlock
        return zip(blocks, source.vectors).map { $0 + row * $1.column.rowBytes }
    }

    private func stored(block: Int, _ transaction: borrowing ReadTransaction) throws -> [UnsafeRawPointer] {
        try source.vectors.map { rows in
            let key = Format.vectorBlockKey(space: rows.space, block: block)
            guard let value = try transaction.get(key, in: source.store.vectors), BlockValue.isSound(value, at: key) else {
                throw ShardError.corrupted(reason: "vector block \(block) of space \(rows.space) is damaged or missing")
            }
            return try BlockValue.rows(of: value, byteCount: rows.column.blockBytes)
        }
    }
}

/// The vectors of a generation's unfinished block, copied while nothing was written.
final class UnfinishedRows: @unchecked Sendable {
    // Sendable: nothing is written after init.

    /// By space; with room for a block, from its first row on.
    let blocks: [UnsafeMutableRawPointer]

    /// To be called on the writer's queue.
    init(of generation: ShardGeneration) {
        let state = generation.current.withLock { $0.state }
        blocks = generation.vectors.map { rows in
            let copy = UnsafeMutableRawPointer.allocate(byteCount: rows.column.blockBytes, alignment: 64)
            let count = Int(state.slotCount - state.storedRows) * rows.column.rowBytes
            if count > 0, let first = rows.column.row(state.storedRows) { copy.copyMemory(from: first, byteCount: count) }
            return copy
        }
    }

    deinit {
        for block in blocks { block.deallocate() }
    }
}

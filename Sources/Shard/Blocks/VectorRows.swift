internal import DataModel
internal import LMDB
internal import VectorIndex

/// The raw vectors of one space: finished blocks are mapped from `vectors`, the unfinished ones lie in memory.
///
/// `vectors` is append-only and LMDB never moves the pages of a value that is not rewritten: a mapped block's address is
/// good until the environment is closed.
struct VectorRows: Sendable {
    let space: Int
    let raw: RawRows
    var column: Column { raw.column }

    init(space: Int, schema: VectorSpace, maximumRows: Int) throws {
        self.space = space
        raw = try RawRows(
            dimension: schema.dimension, datatype: schema.datatype, distance: schema.distance, maximumRows: maximumRows)
    }

    /// The vector of a slot that was committed.
    func values(at slot: UInt32) -> [Float]? { raw.values(at: slot) }

    /// Puts a vector into a row that no reader knows of yet; nil leaves zeros. By the writer alone.
    func write(_ values: [Float]?, at slot: UInt32) {
        guard let values, values.count == raw.dimension else {
            // What a failed commit wrote here must not stay.
            raw.write(nil, at: slot)
            return
        }
        values.withUnsafeBufferPointer { raw.write($0.baseAddress, at: slot) }
    }

    /// Takes over a row as another generation has it. By the writer alone.
    func copy(_ row: UnsafeRawPointer, to slot: UInt32) {
        column.writableRow(slot).copyMemory(from: row, byteCount: column.rowBytes)
    }

    /// Stores a block whose 256 rows are all given out. By the writer alone, within its transaction.
    func store(block number: Int, in table: Table, _ transaction: borrowing WriteTransaction) throws {
        guard let block = column.block(number) else {
            throw ShardError.storage(reason: "vector block \(number) of space \(space) is not in memory")
        }
        let rows = UnsafeRawBufferPointer(start: block, count: column.blockBytes)
        try BlockValue.put(rows, at: Format.vectorBlockKey(space: space, block: number), in: table, transaction)
    }

    /// After the commit: readers use the stored blocks from now on; the column retires its own.
    func map(blocks: Range<Int>, from table: Table, _ transaction: borrowing ReadTransaction) throws {
        for number in blocks {
            let key = Format.vectorBlockKey(space: space, block: number)
            guard let value = try transaction.get(key, in: table) else { continue }
            column.publish(try BlockValue.rows(of: value, byteCount: column.blockBytes), asBlock: number)
        }
    }

    /// At open: publishes all stored blocks, without reading them.
    func mapAll(count: Int, from table: Table, _ transaction: borrowing ReadTransaction) throws {
        try transaction.withCursor(in: table) { cursor in
            for number in 0..<count {
                let key = Format.vectorBlockKey(space: space, block: number)
                guard let entry = try number == 0 ? cursor.seek(key) : cursor.next(), entry.key.elementsEqual(key) else {
                    throw ShardError.corrupted(reason: "vector block \(number) of space \(space) is missing")
                }
                column.publish(try BlockValue.rows(of: entry.value, byteCount: column.blockBytes), asBlock: number)
            }
        }
    }
}

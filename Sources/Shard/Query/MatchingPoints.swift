internal import DataModel
internal import LMDB

/// The points of a shard that pass a filter, found by looking at the payload of each.
struct MatchingPoints {
    private let store: PointStore
    private let program: FilterProgram

    init(
        _ filter: Filter, store: PointStore, schema: ShardSchema,
        _ transaction: borrowing some Transaction & ~Copyable
    ) throws {
        self.store = store
        let catalog = try store.loadPayloadIndexes(transaction)
        program = FilterProgram(filter, schema: schema, tokenizers: { catalog.tokenizer(at: $0) })
    }

    /// Calls `body` with each point that exists and passes, in order of virtual shards and ids.
    ///
    /// - Complexity: linear in the points of the shard.
    func forEach(
        _ transaction: borrowing some Transaction & ~Copyable, _ body: (PayloadRow) throws -> Void
    ) throws {
        try transaction.withCursor(in: store.points) { cursor in
            var entry = try cursor.first()
            while let (_, value) = entry {
                let row = try row(at: PointLocation(value).slot, transaction)
                if program.matches(row) { try body(row) }
                entry = try cursor.next()
            }
        }
    }

    private func row(
        at slot: UInt32, _ transaction: borrowing some Transaction & ~Copyable
    ) throws -> PayloadRow {
        guard let value = try transaction.get(slot, in: store.payloads) else {
            throw ShardError.corrupted(reason: "row \(slot) has no entry in `payloads`")
        }
        return try PayloadRow(value, slot: slot)
    }
}

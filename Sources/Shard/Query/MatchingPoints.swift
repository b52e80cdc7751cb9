internal import DataModel
internal import LMDB

/// The rows of a read view that pass a filter: what a delete by filter knows before its turn at the writer comes.
struct MatchingRows: Sendable {
    /// The generation whose rows they are.
    let generation: Int
    /// All rows below are decided.
    let slotCount: UInt32
    /// A row is never changed, but what a filter means depends on the indexes that split its texts.
    let textIndexes: [PayloadIndexConfig]
    /// Ascending.
    let slots: [UInt32]

    /// Reads the payloads of the rows that the indexes do not decide.
    init(_ filter: Filter, in generation: ShardGeneration) throws {
        let view = generation.view
        let store = generation.store
        self.generation = generation.files.number
        slotCount = view.slotCount
        (textIndexes, slots) = try withExtendedLifetime(view) {
            try store.environment.read { transaction in
                let planner = try FilterPlanner(generation, view, transaction)
                let rows = PlannedRows(
                    try planner.plan(filter, transaction), store: store, without: view.dead, slotCount: view.slotCount)
                var passing: [UInt32] = []
                for slot in rows.possible.slots(in: 0..<view.slotCount) where try rows.passes(slot, transaction) {
                    passing.append(slot)
                }
                return (try store.loadPayloadIndexes(transaction).textIndexes, passing)
            }
        }
    }
}

/// The points of a shard that pass a filter as of a write transaction.
struct MatchingPoints {
    private let store: PointStore
    private let program: FilterProgram
    /// Rows from here on have to be looked at.
    private let firstOpenSlot: UInt32
    private let known: [UInt32]

    /// - Parameter known: what was found out before; of another generation, or with other indexes, it does not count.
    init(
        _ filter: Filter, known: MatchingRows?, generation: Int, store: PointStore, schema: ShardSchema,
        _ transaction: borrowing some Transaction & ~Copyable
    ) throws {
        self.store = store
        let catalog = try store.loadPayloadIndexes(transaction)
        program = FilterProgram(filter, schema: schema, tokenizers: { catalog.tokenizer(at: $0) })
        if let known, known.generation == generation, known.textIndexes == catalog.textIndexes {
            (self.known, firstOpenSlot) = (known.slots, known.slotCount)
        } else {
            (self.known, firstOpenSlot) = ([], 0)
        }
    }

    /// The points that exist and pass, in order of their rows.
    ///
    /// - Parameter isDead: whether a row has no point any more.
    /// - Complexity: linear in the rows that were known to pass, and in those whose payloads have to be read.
    func ids(
        slotCount: UInt32, isDead: (UInt32) -> Bool, _ transaction: borrowing some Transaction & ~Copyable
    ) throws -> [PointID] {
        var ids: [PointID] = []
        for slot in known where !isDead(slot) { ids.append(try row(at: slot, transaction).id) }
        for slot in firstOpenSlot..<max(slotCount, firstOpenSlot) where !isDead(slot) {
            let row = try row(at: slot, transaction)
            if program.matches(row) { ids.append(row.id) }
        }
        return ids
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

extension PayloadIndexCatalog {
    /// The indexes that say how texts are split.
    fileprivate var textIndexes: [PayloadIndexConfig] {
        entries.filter { $0.state == .complete && $0.config.kind == .text }.map(\.config)
    }
}

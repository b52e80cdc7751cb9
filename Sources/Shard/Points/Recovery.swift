internal import DataModel
internal import LMDB

/// What opening `points` yields: its books, its rows, and the vectors of the unfinished block from the log.
struct Recovery {
    let state: PointsState
    let epochs: EpochHistory
    let layout: RowLayout
    /// By space, then the rows that are dead in all of them.
    let deleted: [DeletedSet]
    let vectors: [VectorRows]

    init(store: PointStore, schema: ShardSchema) throws {
        let vectors = try schema.spaces.enumerated().map { number, space in
            try VectorRows(space: number, schema: space, maximumRows: Limits.rowsPerShard)
        }
        self.vectors = vectors
        (state, epochs, layout, deleted) = try store.environment.read { transaction in
            let state = try store.loadState(transaction)
            for rows in vectors {
                try rows.mapAll(
                    count: Int(state.storedRows) / Format.rowsPerBlock, from: store.vectors, transaction)
            }
            try Self.replayTail(store, schema, state, into: vectors, transaction)
            var deleted = try schema.spaces.indices.map { try store.loadDeletions(space: $0, transaction) }
            deleted.append(try Self.deadRows(store, schema, state, transaction))
            // Of a shard of before there were layouts nobody knows how it came to its slots.
            let layout = try store.loadLayout(transaction) ?? .unique()
            return (state, try store.loadEpochs(transaction), layout, deleted)
        }
    }

    /// The rows that no point has. Shards of before payload indexes did not store them: they are what `points` leaves out.
    private static func deadRows(
        _ store: PointStore, _ schema: ShardSchema, _ state: PointsState, _ transaction: borrowing ReadTransaction
    ) throws -> DeletedSet {
        let stored = try store.loadDeletions(space: schema.spaces.count, transaction)
        if stored.count == Int(state.slotCount) - Int(state.pointCount) { return stored }
        var live = RowBitmap.Builder()
        try transaction.withCursor(in: store.points) { cursor in
            var entry = try cursor.first()
            while let (key, value) = entry {
                let slot = try PointLocation(value, at: key).slot
                guard slot < state.slotCount else {
                    throw ShardError.corrupted(reason: "a point is in row \(slot) of \(state.slotCount)")
                }
                live.insert(slot)
                entry = try cursor.next()
            }
        }
        var editor = DeletedSet.Editor(.empty)
        RowBitmap(prefix: state.slotCount).subtracting(live.finished()).forEach { editor.insert($0) }
        return editor.finished()
    }

    /// Fills the rows of the unfinished block.
    private static func replayTail(
        _ store: PointStore, _ schema: ShardSchema, _ state: PointsState, into vectors: [VectorRows],
        _ transaction: borrowing ReadTransaction
    ) throws {
        var filled = state.storedRows
        guard state.slotCount > filled else { return }
        try store.forEachLogEntry(from: state.tailSequence, transaction) { sequence, value in
            let entry = try LogEntry(value, sequence: sequence)
            if let points = entry.record.operation.writtenPoints {
                for (offset, point) in points.enumerated() {
                    let slot = entry.firstSlot + UInt32(offset)
                    guard slot >= state.storedRows else { continue }
                    guard slot == filled else {
                        throw ShardError.corrupted(reason: "the log goes on at row \(slot) instead of \(filled)")
                    }
                    for rows in vectors { rows.write(point.vectors[schema.spaces[rows.space].name], at: slot) }
                    filled += 1
                }
            }
            return true
        }
        guard filled == state.slotCount else {
            throw ShardError.corrupted(reason: "the log holds rows up to \(filled), and there are \(state.slotCount)")
        }
    }
}

extension WriteOperation {
    /// The points that each got a row, in order; nil when none did.
    fileprivate var writtenPoints: [Point]? {
        switch self {
        case .upsert(let points): points
        case .adopt(let points, _, _): points.map(\.point)
        case .delete, .deleteMatching: nil
        }
    }
}

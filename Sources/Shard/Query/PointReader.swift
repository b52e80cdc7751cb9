internal import DataModel
internal import LMDB

/// Look-ups by id and in order of ids, from one state of `points`.
struct PointReader {
    private let shard: ShardGeneration
    private let store: PointStore
    /// Keeps the vector blocks that are read.
    private let view: ReadView

    init(_ shard: ShardGeneration) {
        self.shard = shard
        store = shard.store
        view = shard.view
    }

    func retrieve(_ request: RetrieveRequest) throws -> [Record] {
        try store.environment.read { transaction in
            try request.ids.compactMap { id in
                let key = PointLocation.key(of: id, virtualShards: shard.schema.virtualShards)
                guard let slot = try store.location(of: key, transaction)?.slot else { return nil }
                return try record(
                    try row(of: id, at: slot, transaction), slot: slot, withPayload: request.withPayload,
                    withVectors: request.withVectors, transaction)
            }
        }
    }

    /// The number of points that pass.
    func count(_ filter: Filter) throws -> UInt64 {
        try store.environment.read { transaction in UInt64(try rows(passing: filter, transaction).count(transaction)) }
    }

    private func rows(passing filter: Filter, _ transaction: borrowing ReadTransaction) throws -> PlannedRows {
        let planner = try FilterPlanner(shard, view, transaction)
        return PlannedRows(
            try planner.plan(filter, transaction), store: store, without: view.dead, slotCount: view.slotCount)
    }

    func scroll(_ request: ScrollRequest) throws -> [Record] {
        guard request.limit > 0 else { return [] }
        return try store.environment.read { transaction in
            guard let filter = request.filter else { return try scrollAll(request, transaction) { _, _ in true } }
            let rows = try rows(passing: filter, transaction)
            // A few rows are put in order; of many, the next in order are not far.
            if rows.possible.count <= Self.sortedRows + request.limit {
                return try scroll(request, through: rows, transaction)
            }
            // What was written since the view has no place in its sets.
            let catalog = try store.loadPayloadIndexes(transaction)
            let program = FilterProgram(
                filter, schema: shard.schema, tokenizers: { catalog.tokenizer(at: $0) })
            return try scrollAll(request, transaction) { slot, transaction in
                if slot < view.slotCount { return try rows.passes(slot, transaction) }
                return program.matches(try row(at: slot, transaction))
            }
        }
    }

    /// Up to this many rows are read and sorted for one page: reading one takes about as long as a step in order of ids.
    private static let sortedRows = 2_048

    /// Sorts the rows by their ids.
    private func scroll(
        _ request: ScrollRequest, through rows: PlannedRows, _ transaction: borrowing ReadTransaction
    ) throws -> [Record] {
        var heads: [(id: PointID, slot: UInt32)] = []
        for slot in rows.possible.slots(in: 0..<view.slotCount) {
            let id = try row(at: slot, transaction).id
            if request.start.map({ id >= $0 }) ?? true { heads.append((id, slot)) }
        }
        heads.sort { $0.id < $1.id }
        var records: [Record] = []
        for head in heads where records.count < request.limit {
            if try rows.passes(head.slot, transaction) {
                records.append(
                    try record(try row(of: head.id, at: head.slot, transaction), slot: head.slot, request, transaction))
            }
        }
        return records
    }

    /// Merges the virtual shards, each of which is in order of ids.
    private func scrollAll(
        _ request: ScrollRequest, _ transaction: borrowing ReadTransaction,
        where passes: (UInt32, borrowing ReadTransaction) throws -> Bool
    ) throws -> [Record] {
        try transaction.withCursor(in: store.points) { cursor in
            var heads = try firstEntries(from: request.start, cursor)
            var records: [Record] = []
            while records.count < request.limit, let next = heads.indices.min(by: { heads[$0].id < heads[$1].id }) {
                let head = heads[next]
                if try passes(head.slot, transaction) {
                    records.append(
                        try record(
                            try row(of: head.id, at: head.slot, transaction), slot: head.slot, request, transaction))
                }
                _ = try cursor.seek(PointLocation.key(of: head.id, in: head.shard))
                if let following = try entry(try cursor.next()), following.shard == head.shard {
                    heads[next] = following
                } else {
                    heads.remove(at: next)
                }
            }
            return records
        }
    }

    private struct Head {
        var shard: VirtualShard
        var id: PointID
        var slot: UInt32
    }

    /// Of each virtual shard that has any, the first point whose id is not less than `start`.
    private func firstEntries(from start: PointID?, _ cursor: borrowing Cursor) throws -> [Head] {
        let start = start ?? .number(0)
        var heads: [Head] = []
        var number: UInt16 = 0
        while let first = try entry(try cursor.seek(PointLocation.key(of: start, in: VirtualShard(number)))) {
            // The seek may have landed in a later virtual shard, whose first points are too small.
            if first.id >= start { heads.append(first) }
            if first.id < start, first.shard.rawValue > number {
                number = first.shard.rawValue
                continue
            }
            guard first.shard.rawValue < UInt16.max else { break }
            number = first.shard.rawValue + 1
        }
        return heads
    }

    /// Points of the virtual shards from a key of `points` on, about `maxBytes` of them.
    ///
    /// - Parameter ranges: ascending.
    func page(of ranges: [VirtualShardRange], from place: [UInt8]?, maxBytes: Int) throws -> PointPage {
        try store.environment.read { transaction in
            var page = PointPage(points: [], next: nil, sequence: try store.loadState(transaction).position.sequence)
            var bytes = 0
            try transaction.withCursor(in: store.points) { cursor in
                for range in ranges where page.next == nil {
                    var first: [UInt8] = []
                    first.append(bigEndian: range.lower)
                    if let place, first.lexicographicallyPrecedes(place) { first = place }
                    var following = try cursor.seek(first)
                    while let (key, value) = following {
                        let (number, id) = try PointLocation.parts(
                            ofKey: key, virtualShards: shard.schema.virtualShards)
                        guard range.contains(number) else { break }
                        if bytes >= maxBytes {
                            page.next = [UInt8](copying: key)
                            break
                        }
                        let location = try PointLocation(value, at: key)
                        let record = try record(
                            try row(of: id, at: location.slot, transaction), slot: location.slot, withPayload: true,
                            withVectors: .all, transaction)
                        let point = Point(
                            id: id, vectors: record.vectors ?? NamedVectors(), payload: record.payload ?? .empty)
                        bytes += point.estimatedBytes
                        page.points.append(VersionedPoint(point: point, version: location.version))
                        following = try cursor.next()
                    }
                }
            }
            return page
        }
    }

    private func entry(_ entry: Cursor.Entry?) throws -> Head? {
        guard let entry else { return nil }
        let (shard, id) = try PointLocation.parts(ofKey: entry.key, virtualShards: self.shard.schema.virtualShards)
        return Head(shard: shard, id: id, slot: try PointLocation(entry.value, at: entry.key).slot)
    }

    private func row(
        of id: PointID, at slot: UInt32, _ transaction: borrowing ReadTransaction
    ) throws -> PayloadRow {
        // A row of the view, or of a commit after it: the bound of the view is on the safe side.
        let row = try row(at: slot, transaction)
        guard row.id == id else {
            throw ShardError.corrupted(reason: "point \(id) is said to be in row \(slot), which is point \(row.id)")
        }
        // An entry of a page that LMDB has freed leads there.
        guard !view.dead.contains(slot) else {
            throw ShardError.corrupted(reason: "point \(id) is said to be in row \(slot), which is dead")
        }
        return row
    }

    private func row(at slot: UInt32, _ transaction: borrowing ReadTransaction) throws -> PayloadRow {
        try store.payloadRow(at: slot, slotCount: view.slotCount, transaction)
    }

    private func record(
        _ row: PayloadRow, slot: UInt32, _ request: ScrollRequest, _ transaction: borrowing ReadTransaction
    ) throws -> Record {
        try record(
            row, slot: slot, withPayload: request.withPayload, withVectors: request.withVectors, transaction)
    }

    private func record(
        _ row: PayloadRow, slot: UInt32, withPayload: Bool, withVectors: VectorSelector,
        _ transaction: borrowing ReadTransaction
    ) throws -> Record {
        try withExtendedLifetime(view) {
            Record(
                id: row.id, version: row.version, payload: withPayload ? row.payload : nil,
                vectors: try shard.vectors(at: slot, of: row.spaces, withVectors, view, transaction))
        }
    }
}

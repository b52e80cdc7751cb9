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
                guard let value = try transaction.get(key, in: store.points) else { return nil }
                return try record(
                    at: PointLocation(value).slot, withPayload: request.withPayload, withVectors: request.withVectors,
                    transaction)
            }
        }
    }

    /// Merges the virtual shards, each of which is in order of ids.
    func scroll(_ request: ScrollRequest) throws -> [Record] {
        guard request.limit > 0 else { return [] }
        return try store.environment.read { transaction in
            try transaction.withCursor(in: store.points) { cursor in
                var heads = try firstEntries(from: request.start, cursor)
                var records: [Record] = []
                while records.count < request.limit,
                    let next = heads.indices.min(by: { heads[$0].id < heads[$1].id })
                {
                    let head = heads[next]
                    records.append(
                        try record(
                            at: head.slot, withPayload: request.withPayload, withVectors: request.withVectors,
                            transaction))
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

    private func entry(_ entry: Cursor.Entry?) throws -> Head? {
        guard let entry else { return nil }
        let (shard, id) = try PointLocation.parts(ofKey: entry.key)
        return Head(shard: shard, id: id, slot: try PointLocation(entry.value).slot)
    }

    private func record(
        at slot: UInt32, withPayload: Bool, withVectors: VectorSelector, _ transaction: borrowing ReadTransaction
    ) throws -> Record {
        // A row of the view, or of a commit after it: the bound of the view is on the safe side.
        let row = try store.payloadRow(at: slot, slotCount: view.slotCount, transaction)
        return Record(
            id: row.id, version: row.version, payload: withPayload ? row.payload : nil,
            vectors: withExtendedLifetime(view) { shard.vectors(at: slot, of: row.spaces, withVectors) })
    }
}

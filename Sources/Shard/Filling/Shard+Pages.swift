package import DataModel
internal import LMDB
internal import Synchronization

/// What a shard that is split or merged is asked for by those that will replace it.
extension Shard {
    /// Bytes of a page of points. One takes the filling thread a few milliseconds.
    private static var pageBytes: Int { 256 << 10 }
    /// Bytes of log that become one page.
    private static var logBytes: Int { 1 << 20 }

    /// Points of the virtual shards, in ascending ranges, from the place that a former page named; on a thread of low
    /// priority. Pages are of different moments: the log of that time says what is missing between them.
    package func pointPage(
        of ranges: [VirtualShardRange], from place: [UInt8]?
    ) async throws(ShardError) -> PointPage {
        let result: Result<PointPage, ShardError> = await runtime.filling.pool.run {
            guard !self.isClosed.load(ordering: .acquiring) else {
                return .failure(.notServing(reason: "the shard is closed"))
            }
            return Result { () throws(ShardError) in
                try storing {
                    try PointReader(self.generation).page(of: ranges, from: place, maxBytes: Self.pageBytes)
                }
            }
        }
        if case .failure(let error) = result { noteDamage(error) }
        return try result.get()
    }

    /// Writes of a page of names.
    private static var pageRequests: Int { 8_192 }

    /// The named writes after one, up to another, that are remembered.
    package func requestPage(
        after sequence: SequenceNumber, through last: SequenceNumber
    ) async throws(ShardError) -> RequestPage {
        try await onSearchThread(.after(.seconds(10))) {
            var page = RequestPage(requests: [], next: nil)
            let store = self.generation.store
            try store.environment.read { transaction in
                try transaction.withCursor(in: store.requests) { cursor in
                    var entry = try cursor.seek(sequence.next.rawValue)
                    while let (key, value) = entry {
                        let (place, writes) = try RequestEntry.read(key, value)
                        if place > last { return }
                        page.requests += writes
                        if page.requests.count >= Self.pageRequests {
                            page.next = place
                            return
                        }
                        entry = try cursor.next()
                    }
                }
            }
            return page
        }
    }

    /// What became of the points of the virtual shards after a position.
    ///
    /// - Parameter acknowledged: the log is read up to this write.
    /// - Throws: `invalid` when the log does not reach back to the position, or its history is another.
    package func logPage(
        of ranges: [VirtualShardRange], after position: LogPosition, acknowledged: SequenceNumber
    ) throws(ShardError) -> LogPage {
        guard position == .start || epoch(of: position.sequence) == position.epoch else {
            throw .invalid(reason: "the shard has another history than the one that was followed")
        }
        guard let records = try logRecords(after: position.sequence, maxBytes: Self.logBytes) else {
            throw .invalid(reason: "the log was trimmed before it could be followed")
        }
        var changes = LogChanges(ranges: ranges, virtualShards: schema.virtualShards)
        var end = position
        for record in records where record.position.sequence <= acknowledged {
            changes.add(record)
            end = record.position
        }
        return changes.page(end: end, acknowledged: acknowledged)
    }
}

/// Gathers the last state of each point over a stretch of the log.
private struct LogChanges {
    private enum Change {
        case written(VersionedPoint)
        case deleted(SequenceNumber)
    }

    private let owned: [Bool]
    private var changes: [PointID: Change] = [:]
    private var requests: [RememberedWrite] = []

    init(ranges: [VirtualShardRange], virtualShards: Int) {
        var owned = [Bool](repeating: false, count: virtualShards)
        for range in ranges where Int(range.lower) < virtualShards {
            for shard in Int(range.lower)...min(Int(range.upper), virtualShards - 1) { owned[shard] = true }
        }
        self.owned = owned
    }

    mutating func add(_ record: LogRecord) {
        let sequence = record.position.sequence
        if let stamp = record.stamp { requests.append(RememberedWrite(stamp, sequence: sequence)) }
        switch record.operation {
        case .upsert(let points):
            for point in points { note(point.id, .written(VersionedPoint(point: point, version: sequence))) }
        case .delete(let ids):
            for id in ids { note(id, .deleted(sequence)) }
        case .adopt(let points, let deleted, let adopted):
            requests += adopted
            for point in points { note(point.point.id, .written(point)) }
            for id in deleted { note(id, .deleted(sequence)) }
        case .deleteMatching: break
        }
    }

    private mutating func note(_ id: PointID, _ change: Change) {
        if owned[Int(VirtualShard(of: id, count: owned.count).rawValue)] { changes[id] = change }
    }

    func page(end: LogPosition, acknowledged: SequenceNumber) -> LogPage {
        var page = LogPage(
            points: [], deleted: [], requests: requests, position: end, acknowledged: acknowledged)
        for (id, change) in changes {
            switch change {
            case .written(let point): page.points.append(point)
            case .deleted(let sequence): page.deleted.append(.init(id: id, sequence: sequence))
            }
        }
        return page
    }
}

internal import DataModel
internal import LMDB

/// Names and conditions of writes: decided at the write's place in the order, by all that comes before it.
extension GroupCommit {
    /// Entries of `requests` beyond the limit that are left for the next commits: removing them one by one would write
    /// to the first page of the table with each commit.
    private static let requestSlack = 1_024

    /// The write that was done under the name, if it is remembered: among the last so many of the shard, whatever they
    /// were called, so that all replicas forget the same ones.
    func remembered(_ name: RequestName) -> RememberedWrite? {
        guard let known = noted[name] ?? requests.write(name), isRemembered(known.place) else { return nil }
        return known.write
    }

    private func isRemembered(_ sequence: SequenceNumber) -> Bool {
        let last = state.position.sequence.rawValue
        return last < UInt64(requests.limit) || sequence.rawValue > last - UInt64(requests.limit)
    }

    /// The first of the conditions that does not hold.
    func conflict(
        with conditions: [WriteCondition], _ transaction: borrowing WriteTransaction
    ) throws -> VersionConflict? {
        for condition in conditions {
            let key = PointLocation.key(of: condition.id, virtualShards: schema.virtualShards)
            let actual = try store.location(of: key, transaction)?.version ?? .zero
            guard actual == condition.version else {
                return VersionConflict(point: condition.id, expected: condition.version, actual: actual)
            }
        }
        return nil
    }

    /// Remembers the names that a record brings.
    mutating func noteRequests(of record: LogRecord, _ transaction: borrowing WriteTransaction) throws {
        let place = record.position.sequence
        var writes = record.stamp.map { [RememberedWrite($0, sequence: place)] } ?? []
        if case .adopt(_, _, let requests) = record.operation { writes += requests }
        guard !writes.isEmpty else { return }
        try transaction.put(RequestEntry.bytes(writes, at: place), at: place.rawValue, in: store.requests, appends: true)
        for write in writes {
            let former = remembered(write.stamp.name)
            noted[write.stamp.name] = NotedWrite(write: write.joined(with: former), place: place)
        }
    }

    /// Removes what is forgotten.
    func trimRequests(_ transaction: borrowing WriteTransaction) throws {
        guard !noted.isEmpty,
            try transaction.count(of: store.requests) > UInt64(requests.limit + Self.requestSlack)
        else { return }
        try transaction.withCursor(in: store.requests) { cursor in
            var entry = try cursor.first()
            while let (key, value) = entry, try !isRemembered(RequestEntry.read(key, value).sequence) {
                try cursor.deleteCurrent()
                entry = try cursor.next()
            }
        }
    }
}

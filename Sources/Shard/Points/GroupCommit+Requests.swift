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
        guard let known = noted[name] ?? requests.write(name), isRemembered(known.sequence) else { return nil }
        return known
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

    mutating func note(
        _ stamp: RequestStamp, at sequence: SequenceNumber, _ transaction: borrowing WriteTransaction
    ) throws {
        try transaction.put(
            RequestEntry.bytes(stamp, at: sequence), at: sequence.rawValue, in: store.requests, appends: true)
        noted[stamp.name] = RememberedWrite(sequence: sequence, digest: stamp.digest)
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

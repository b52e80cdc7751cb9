package import DataModel
internal import Dispatch
internal import LMDB
internal import Synchronization

extension Shard {
    /// What the shard has of each virtual shard, in one state of `points`; on a thread of low priority.
    ///
    /// Versions stand for contents: whoever wrote a version wrote the same everywhere, and that what is stored is what was
    /// written is for checksums to say (`verify`).
    ///
    /// - Complexity: linear in the points of the ranges; reads their entries in `points` only.
    package func digest(of ranges: [VirtualShardRange]) async throws(ShardError) -> ReplicaDigest {
        let result: Result<ReplicaDigest, ShardError> = await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(
                    returning: Result { () throws(ShardError) in
                        guard !self.isClosed.load(ordering: .acquiring) else {
                            throw .notServing(reason: "the shard is closed")
                        }
                        return try storing { try DigestReader(self.generation).digest(of: ranges) }
                    })
            }
        }
        if case .failure(let error) = result { noteDamage(error) }
        return try result.get()
    }
}

/// Walks over `points`, which is in order of virtual shards.
private struct DigestReader {
    private let store: PointStore
    private let virtualShards: Int

    init(_ generation: ShardGeneration) {
        store = generation.store
        virtualShards = generation.schema.virtualShards
    }

    func digest(of ranges: [VirtualShardRange]) throws -> ReplicaDigest {
        try store.environment.read { transaction in
            let state = try store.loadState(transaction)
            // A replica that contradicts itself shall not pass for another one's measure.
            let entries = try transaction.count(of: store.points)
            guard entries == state.pointCount else {
                throw ShardError.corrupted(
                    reason: "points: \(entries) entries, and `meta` counts \(state.pointCount)")
            }
            var digest = ReplicaDigest(position: state.position, virtualShards: [:])
            var message: [UInt8] = []
            try transaction.withCursor(in: store.points) { cursor in
                for range in ranges {
                    var first: [UInt8] = []
                    first.append(bigEndian: range.lower)
                    var entry = try cursor.seek(first)
                    while let (key, value) = entry {
                        let (shard, _) = try PointLocation.parts(ofKey: key, virtualShards: virtualShards)
                        guard range.contains(shard) else { break }
                        let location = try PointLocation(value, at: key)
                        message.removeAll(keepingCapacity: true)
                        message.append(contentsOf: key)
                        message.append(bigEndian: location.version.rawValue)
                        digest.virtualShards[shard, default: .empty].add(message.withUnsafeBytes(Format.checksum))
                        entry = try cursor.next()
                    }
                }
            }
            return digest
        }
    }
}

extension VirtualShardDigest {
    fileprivate mutating func add(_ point: UInt64) {
        points += 1
        hash &+= point
    }
}

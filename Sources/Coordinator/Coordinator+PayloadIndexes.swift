import Cluster
package import DataModel
import Logging

/// The collection's record says which payload indexes there are; each replica makes what it has the same.
extension Coordinator {
    package func createPayloadIndex(
        _ index: PayloadIndexConfig, on collection: String, deadline: Deadline
    ) async throws(DatabaseError) {
        try await changePayloadIndexes(of: collection, deadline: deadline) { (indexes) throws(DatabaseError) in
            indexes.removeAll { $0.path == index.path }
            guard indexes.count < Limits.payloadIndexes else {
                throw .invalid(reason: "the collection has \(Limits.payloadIndexes) payload indexes, which is the limit")
            }
            indexes.append(index)
            indexes.sort { $0.path.text < $1.path.text }
        }
        logger.info("Collection \(collection) has a \(index.kind.rawValue) index on \(index.path.text)")
    }

    package func waitForPayloadIndex(
        _ index: PayloadIndexConfig, on collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> Bool {
        var backoff = Backoff()
        repeat {
            let table = try await routing(of: collection)
            guard table.collection.value.config.payloadIndexes.contains(index) else { return false }
            if await isBuilt(index, in: table.shards.map(\.value), deadline: deadline) { return true }
        } while await backoff.pause(until: deadline)
        return false
    }

    /// Whether all in-sync replicas say that they hold the index: any of them may be asked next.
    private func isBuilt(_ index: PayloadIndexConfig, in shards: [ShardRecord], deadline: Deadline) async -> Bool {
        let live = cache.current.liveNodes
        let statuses = await ReplicaStatuses.ask(shards, live: live, router: router, deadline: deadline)
        return shards.allSatisfy { shard in
            shard.inSync.filter(live.contains).allSatisfy { node in
                statuses[shard.id, node]?.payloadIndexes.contains { $0.config == index && $0.progress >= 1 } ?? false
            }
        }
    }

    package func deletePayloadIndex(
        at path: PayloadPath, of collection: String, deadline: Deadline
    ) async throws(DatabaseError) {
        try await changePayloadIndexes(of: collection, deadline: deadline) { $0.removeAll { $0.path == path } }
        logger.info("Collection \(collection) has no index on \(path.text)")
    }

    private func changePayloadIndexes(
        of name: String, deadline: Deadline, _ change: (inout [PayloadIndexConfig]) throws(DatabaseError) -> Void
    ) async throws(DatabaseError) {
        var backoff = Backoff()
        while true {
            _ = try await routing(of: name)
            guard let stored = cache.current.collection(name), stored.value.state == .ready else {
                throw .collectionNotFound(name)
            }
            var record = stored.value
            try change(&record.config.payloadIndexes)
            guard record.config.payloadIndexes != stored.value.config.payloadIndexes else { return }
            let key = ControlKey.collection(name)
            let outcome = try await transact(
                guards: [ControlGuard(key: key, expected: stored.revision)],
                mutations: [.put(key: key, value: record.encoded)])
            if case .committed(let revision) = outcome { return try await spread(revision, deadline: deadline) }
            guard await backoff.pause(until: deadline) else {
                throw .deadlineExceeded(reason: "collection \(name): its record is changed all the time")
            }
        }
    }
}

import Cluster
package import DataModel
import Foundation
import Logging

extension Coordinator {
    package func createCollection(
        _ name: String, config: CollectionConfig, deadline: Deadline
    ) async throws(DatabaseError) {
        let id = CollectionID.random()
        var backoff = Backoff()
        while true {
            let state = try await freshState()
            if let existing = state.collection(name) {
                guard existing.value.state == .deleting else { throw .collectionExists(name) }
                // It is on its way out; the name is free in a moment.
            } else if try await record(id, name: name, config: config, in: state) {
                break
            }
            guard await backoff.pause(until: deadline) else {
                throw .deadlineExceeded(reason: "collection \(name) could not be recorded")
            }
        }
        do {
            try await waitUntilServing(id, name: name, deadline: deadline)
            try await setState(.ready, of: id, name: name, from: .creating, deadline: deadline)
        } catch {
            // What is half made must not keep the name.
            try? await setState(.deleting, of: id, name: name, from: .creating, deadline: deadline)
            throw error
        }
        logger.info("Created collection \(name)", metadata: ["collection": "\(id)"])
    }

    /// Writes the records of a new collection; false when somebody else was faster with the name.
    private func record(
        _ id: CollectionID, name: String, config: CollectionConfig, in state: ClusterState
    ) async throws(DatabaseError) -> Bool {
        let shards: [ShardRecord]
        do {
            shards = try Placement.place(id, config: config, in: state)
        } catch {
            switch error {
            case .notEnoughNodes(let live, let factor):
                throw .invalid(
                    reason:
                        "replication_factor: \(factor) replicas of a shard need as many live nodes, there are \(live)")
            case .moreShardsThanVirtualShards(let physical, let virtual):
                throw .invalid(
                    reason: "shard_number: \(physical) physical shards cannot divide \(virtual) virtual shards")
            }
        }
        return try await put(
            CollectionRecord(
                id: id, name: name, config: config, state: .creating, createdAt: Date().timeIntervalSince1970), shards)
    }

    /// False when the name is taken, or a node does not take replicas any more.
    func put(_ collection: CollectionRecord, _ shards: [ShardRecord]) async throws(DatabaseError) -> Bool {
        let key = ControlKey.collection(collection.name)
        var mutations = [ControlMutation.put(key: key, value: collection.encoded)]
        mutations += shards.map { .put(key: ControlKey.shard($0.id), value: $0.encoded) }
        // One transaction for all but the largest collections, whose other shards follow: until the collection is ready
        // nobody counts on them.
        var guards = [ControlGuard(key: key, expected: nil)]
        // A node that is drained meanwhile, and perhaps removed, gets nothing any more.
        let nodes = Set(shards.flatMap { $0.replicas.map(\.node) }).sorted()
        guards += nodes.prefix(ControlLimits.transactionOperations - 1)
            .map { ControlGuard(key: ControlKey.draining($0), expected: nil) }
        while !mutations.isEmpty {
            let batch = Array(mutations.prefix(ControlLimits.transactionOperations))
            mutations.removeFirst(batch.count)
            guard case .committed = try await transact(guards: guards, mutations: batch) else { return false }
            guards = []
        }
        return true
    }

    /// Waits until every in-sync replica of every shard answers: then each has its files, and from there on a missing
    /// file means lost data.
    func waitUntilServing(_ id: CollectionID, name: String, deadline: Deadline) async throws(DatabaseError) {
        var answered: Set<String> = []
        var backoff = Backoff()
        while true {
            let state = try await freshState()
            guard state.collection(id)?.value.state == .creating else { throw .collectionNotFound(name) }
            let shards = state.shards(of: id).map(\.value)
            let statuses = await ReplicaStatuses.ask(
                shards, live: state.liveNodes, router: router, deadline: deadline)
            var missing: String?
            for shard in shards {
                for node in shard.inSync {
                    let replica = "shard \(shard.id.number) on node \(node)"
                    if statuses[shard.id, node] != nil { answered.insert(replica) }
                    guard !answered.contains(replica) else { continue }
                    let failure = statuses.failure(shard.id, node)
                    if case .outOfSpace(let reason) = failure {
                        throw .outOfSpace(reason: "collection \(name): \(replica): \(reason)")
                    }
                    missing = "\(replica) did not open in time" + (failure.map { ": \($0)" } ?? "")
                }
            }
            guard let missing else { return }
            guard await backoff.pause(until: deadline) else {
                throw .deadlineExceeded(reason: "collection \(name): \(missing)")
            }
        }
    }

    package func deleteCollection(_ name: String, deadline: Deadline) async throws(DatabaseError) -> Bool {
        let state = try await freshState()
        guard let collection = state.collection(name)?.value, collection.state != .deleting else { return false }
        try await setState(.deleting, of: collection.id, name: name, from: collection.state, deadline: deadline)
        // The controller takes out the shards, then the name.
        let gone = await cache.wait(deadline: deadline) { $0.collection(name)?.value.id != collection.id }
        guard gone != nil else {
            throw .deadlineExceeded(reason: "collection \(name) is being deleted, and still holds its name")
        }
        logger.info("Deleted collection \(name)", metadata: ["collection": "\(collection.id)"])
        return true
    }

    func setState(
        _ target: CollectionRecord.State, of id: CollectionID, name: String, from: CollectionRecord.State,
        deadline: Deadline
    ) async throws(DatabaseError) {
        while true {
            let state = try await freshState()
            guard let stored = state.collection(name), stored.value.id == id else { throw .collectionNotFound(name) }
            guard stored.value.state != target else { return }
            guard stored.value.state == from || target == .deleting else { throw .collectionNotFound(name) }
            var record = stored.value
            record.state = target
            let key = ControlKey.collection(name)
            let outcome = try await transact(
                guards: [ControlGuard(key: key, expected: stored.revision)],
                mutations: [.put(key: key, value: record.encoded)])
            if case .committed(let revision) = outcome { return try await spread(revision, deadline: deadline) }
        }
    }

    package func collectionNames() async throws(DatabaseError) -> [String] {
        try await freshState().collections.values.filter { $0.value.state == .ready }.map(\.value.name).sorted()
    }

    package func collectionExists(_ name: String) async throws(DatabaseError) -> Bool {
        try await freshState().collection(name)?.value.state == .ready
    }

    package func collection(_ name: String, deadline: Deadline) async throws(DatabaseError) -> CollectionInfo {
        while true {
            let table = try await routing(of: name)
            let info = await info(of: table, deadline: deadline)
            // Shards that are split or merged meanwhile have no points any more.
            if try await routing(of: name).hasShards(of: table) || deadline.isPast { return info }
        }
    }

    private func info(of table: RoutingTable, deadline: Deadline) async -> CollectionInfo {
        let name = table.collection.value.name
        let live = cache.current.liveNodes
        let shards = table.shards.map(\.value)
        let statuses = await ReplicaStatuses.ask(shards, live: live, router: router, deadline: deadline)
        let record = table.collection.value
        var health = health(of: shards, live: live, statuses: statuses)
        var points: UInt64 = 0
        for shard in shards {
            if let status = statuses.best(of: shard) {
                points += status.points
                continue
            }
            // Perhaps it is only busy, or settling. The number leaves a shard out only when the health says so.
            let deadline = min(deadline, .after(ReplicaStatuses.patience))
            let read = ShardRead(
                collection: record, kind: ReadKind(.count), deadline: deadline, merge: AnswerMerge.count
            ) { (service, _, context) throws(ShardError) in try await service.count(nil, context: context) }
            let count = try? await self.read(shard.id, read)
            if let count { points += count } else { health = .red }
        }
        return CollectionInfo(
            name: name, id: record.id, config: record.config, health: health, points: points,
            indexedVectors: shards.reduce(0) { $0 + (statuses.best(of: $1)?.indexedRows ?? 0) },
            payloadIndexes: record.config.payloadIndexes.map { index in
                Self.progress(of: index, shards.map { statuses.best(of: $0) })
            })
    }

    /// What the shards say of an index together; one that was not told of it yet has not begun.
    private static func progress(
        of index: PayloadIndexConfig, _ statuses: [ReplicaStatus?]
    ) -> PayloadIndexStatus {
        statuses.reduce(into: PayloadIndexStatus(config: index, progress: 1, points: 0)) { sum, status in
            let own = status?.payloadIndexes.first { $0.config == index }
            sum.progress = min(sum.progress, own?.progress ?? 0)
            sum.points += own?.points ?? 0
        }
    }

    /// - Parameter statuses: nil to go by the records alone.
    func health(
        of shards: [ShardRecord], live: Set<NodeID>, statuses: ReplicaStatuses?
    ) -> CollectionInfo.Health {
        var health = CollectionInfo.Health.green
        for shard in shards {
            let serving = shard.inSync.filter { node in
                live.contains(node) && (statuses.map { $0[shard.id, node] != nil } ?? true)
            }
            if serving.isEmpty { return .red }
            let isIndexing = statuses.map { statuses in
                serving.contains { (statuses[shard.id, $0]?.unindexedRows ?? 0) > 0 }
            }
            if serving.count < shard.replicas.count || isIndexing == true { health = .yellow }
        }
        return health
    }

    func transact(
        guards: [ControlGuard], mutations: [ControlMutation]
    ) async throws(DatabaseError) -> TransactionOutcome {
        do {
            return try await cache.store.transaction(guards: guards, mutations: mutations)
        } catch {
            throw .unavailable(reason: error.description)
        }
    }
}

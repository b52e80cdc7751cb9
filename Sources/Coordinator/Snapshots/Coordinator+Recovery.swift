import Cluster
package import DataModel
import Foundation
import Logging

/// Where a recovery reads the files of a snapshot.
package protocol SnapshotContents: Sendable {
    var manifest: SnapshotManifest { get }

    /// At most `count` bytes of a shard's file from `offset` on; at least one.
    func read(
        _ file: SnapshotManifest.File, of shard: ShardNumber, at offset: UInt64, count: Int
    ) async throws(DatabaseError) -> [UInt8]
}

/// Recovery makes a new collection out of a snapshot's files, beside the one that has the name, and gives it the name in
/// one transaction of the control store.
///
/// Until then the former collection answers and takes writes; whatever interrupts the recovery leaves it as it was. All
/// replicas of a shard get the same files, so they are in sync from the start; their sequences go on where the snapshot's
/// ended, in a higher epoch.
extension Coordinator {
    /// Bytes in one message to a replica; each waits for its answer, which is the flow control.
    private static let chunkBytes = 1 << 20
    private static let chunkTimeout: Duration = .seconds(15)
    /// The receiver syncs and checks all files before it answers.
    private static let finishTimeout: Duration = .seconds(300)

    /// Puts the snapshot's collection in the place of the one with the name, or makes it when there is none.
    ///
    /// - Throws: `invalid` when the snapshot does not fit the collection or the cluster; nothing has changed after any
    ///   error but `unavailable` and `deadlineExceeded` of the last step, after which it may be in place.
    package func recover(
        _ name: String, from contents: any SnapshotContents, deadline: Deadline
    ) async throws(DatabaseError) {
        let manifest = contents.manifest
        let id = CollectionID.random()
        let state = try await freshState()
        let config = try recoveredConfig(manifest, replacing: state.collection(name)?.value, in: state)
        guard let incarnation = state.live[node]?.value.incarnation else {
            throw .unavailable(reason: "node \(node) is not alive in the control store")
        }
        let hidden = CollectionRecord.recoveringName(name, id)
        let record = CollectionRecord(
            id: id, name: hidden, config: config, state: .creating, createdAt: Date().timeIntervalSince1970,
            recovery: .init(node: node, incarnation: incarnation))
        do throws(DatabaseError) {
            let shards = try recoveredShards(manifest, record: record, in: state)
            guard try await put(record, shards) else {
                throw .unavailable(reason: "collection \(name): its recovery could not be recorded")
            }
            for (source, shard) in zip(manifest.shards, shards) {
                try await fill(shard, with: source, from: contents, deadline: deadline)
            }
            try await waitUntilServing(id, name: hidden, deadline: deadline)
            try await exchange(record, for: name, deadline: deadline)
        } catch {
            abandon(record)
            throw error
        }
        logger.info("Recovered collection \(name) from a snapshot", metadata: ["collection": "\(id)"])
    }

    // MARK: - The new collection's records

    /// The snapshot's schema with the number of copies that the cluster wants and can hold.
    private func recoveredConfig(
        _ manifest: SnapshotManifest, replacing former: CollectionRecord?, in state: ClusterState
    ) throws(DatabaseError) -> CollectionConfig {
        if let defect = manifest.defect { throw .invalid(reason: "snapshot: \(defect)") }
        guard manifest.isWhole else {
            throw .invalid(
                reason: "snapshot: it holds \(manifest.shards.count) shards that do not make a whole collection")
        }
        var config = manifest.config
        config.physicalShards = manifest.shards.count
        if let former = former?.config {
            try checkSpaces(config, against: former)
            config.replicationFactor = former.replicationFactor
            config.writeConsistencyFactor = former.writeConsistencyFactor
        }
        let live = state.liveNodes.count
        if config.replicationFactor > live {
            guard former == nil else {
                throw .unavailable(
                    reason: "\(config.replicationFactor) replicas of a shard need as many live nodes, there are \(live)"
                )
            }
            logger.warning(
                "The snapshot's collection had \(config.replicationFactor) copies of each shard; the cluster has \(live) nodes"
            )
            config.replicationFactor = max(1, live)
        }
        config.writeConsistencyFactor = min(config.writeConsistencyFactor, config.replicationFactor)
        return config
    }

    private func checkSpaces(
        _ config: CollectionConfig, against former: CollectionConfig
    ) throws(DatabaseError) {
        func shape(_ space: VectorSpace) -> String {
            "`\(space.name)` of \(space.dimension) \(space.datatype.rawValue) by \(space.distance.rawValue)"
        }
        let (new, old) = (config.spaces.map(shape), former.spaces.map(shape))
        guard new != old else { return }
        throw .invalid(
            reason: "snapshot: its vectors are \(new.joined(separator: ", ")), and the collection's are "
                + old.joined(separator: ", "))
    }

    private func recoveredShards(
        _ manifest: SnapshotManifest, record: CollectionRecord, in state: ClusterState
    ) throws(DatabaseError) -> [ShardRecord] {
        let placed: [ShardRecord]
        do {
            placed = try Placement.place(record.id, config: record.config, in: state)
        } catch {
            throw .unavailable(reason: "the shards cannot be placed: \(error)")
        }
        return zip(manifest.shards, placed).map { source, placed in
            ShardRecord(
                id: ShardID(collection: record.id, number: source.number), virtualShards: source.virtualShards,
                replicas: placed.replicas, primary: placed.primary, epoch: source.epoch.next)
        }
    }

    // MARK: - The replicas' files

    /// Sends a shard's files to all its replicas. The primary is the last to have them: it finds its backups in sync.
    private func fill(
        _ shard: ShardRecord, with source: SnapshotManifest.Shard, from contents: any SnapshotContents,
        deadline: Deadline
    ) async throws(DatabaseError) {
        let replicas = shard.replicas.map(\.node)
        let transfer = UInt64.random(in: 1 ... .max)
        let offer = SnapshotOffer(
            transfer: transfer, position: source.position,
            files: source.files.map { SnapshotFile(name: $0.name, bytes: $0.bytes) })
        try await ask(replicas, of: shard, timeout: Self.chunkTimeout, deadline: deadline) {
            (replica, context) throws(ShardError) in
            try await Self.begin(offer, replica, context)
        }
        for file in source.files {
            var offset: UInt64 = 0
            while offset < file.bytes {
                let count = Int(min(UInt64(Self.chunkBytes), file.bytes - offset))
                let bytes = try await contents.read(file, of: source.number, at: offset, count: count)
                let chunk = SnapshotChunk(transfer: transfer, file: file.name, offset: offset, bytes: bytes)
                try await ask(replicas, of: shard, timeout: Self.chunkTimeout, deadline: deadline) {
                    (replica, context) throws(ShardError) in
                    try await replica.receiveSnapshot(chunk, context: context)
                }
                offset += UInt64(bytes.count)
            }
        }
        let checksums = Dictionary(
            source.files.map { ($0.name, $0.checksum ?? 0) }, uniquingKeysWith: { first, _ in first })
        for group in [replicas.filter { $0 != shard.primary }, [shard.primary]] where !group.isEmpty {
            try await ask(group, of: shard, timeout: Self.finishTimeout, deadline: deadline) {
                (replica, context) throws(ShardError) in
                let state = try await replica.finishSnapshot(
                    transfer: transfer, checksums: checksums, context: context)
                guard state.position == source.position else {
                    throw .invalid(
                        reason: "the files end at \(state.position.sequence), and not where the manifest says")
                }
            }
        }
    }

    /// The replica may not have heard of its shard yet.
    private static func begin(
        _ offer: SnapshotOffer, _ replica: any ReplicaService, _ context: RequestContext
    ) async throws(ShardError) {
        var backoff = Backoff()
        while true {
            let failure = await failure(of: offer, replica, context)
            guard let failure else { return }
            guard failure.isTransient, await backoff.pause(until: context.deadline) else { throw failure }
        }
    }

    private static func failure(
        of offer: SnapshotOffer, _ replica: any ReplicaService, _ context: RequestContext
    ) async -> ShardError? {
        do throws(ShardError) {
            try await replica.beginSnapshot(offer, context: context)
            return nil
        } catch {
            return error
        }
    }

    private func ask(
        _ nodes: [NodeID], of shard: ShardRecord, timeout: Duration, deadline: Deadline,
        _ body: @escaping @Sendable (any ReplicaService, RequestContext) async throws(ShardError) -> Void
    ) async throws(DatabaseError) {
        guard !deadline.isPast else { throw .deadlineExceeded(reason: "the recovery did not end in time") }
        let router = router
        _ = try await concurrently(nodes) { (node) throws(DatabaseError) in
            do throws(ShardError) {
                try await body(
                    router.replica(of: shard.id, on: node),
                    RequestContext(epoch: shard.epoch, deadline: .after(timeout)))
            } catch {
                throw DatabaseError(recovery: error, shard: shard.id.number, node: node)
            }
        }
    }

    // MARK: - The last step

    /// Gives the new collection the name; the controller then takes the former one's shards out of the map.
    private func exchange(
        _ record: CollectionRecord, for name: String, deadline: Deadline
    ) async throws(DatabaseError) {
        var backoff = Backoff()
        while true {
            let state = try await freshState()
            guard let own = state.collection(record.name), own.value.id == record.id, own.value.state == .creating
            else {
                throw .unavailable(reason: "the recovery of collection \(name) was given up by the controller")
            }
            let former = state.collection(name)
            if former.map({ $0.value.state == .ready }) ?? true {
                if let factor = former?.value.config.replicationFactor, factor != record.config.replicationFactor {
                    throw .unavailable(
                        reason: "collection \(name) has \(factor) replicas of a shard by now, and its recovery began with "
                            + "\(record.config.replicationFactor): try again")
                }
                var final = record
                (final.name, final.state, final.recovery) = (name, .ready, nil)
                let outcome = try await transact(
                    guards: [
                        ControlGuard(key: ControlKey.collection(record.name), expected: own.revision),
                        ControlGuard(key: ControlKey.collection(name), expected: former?.revision),
                    ],
                    mutations: [
                        .delete(key: ControlKey.collection(record.name)),
                        .put(key: ControlKey.collection(name), value: final.encoded),
                    ])
                if case .committed(let revision) = outcome { return try await spread(revision, deadline: deadline) }
            }
            guard await backoff.pause(until: deadline) else {
                throw .deadlineExceeded(reason: "collection \(name) is being created or deleted at the same time")
            }
        }
    }

    /// Has the controller clear away what was made so far, however long the control store takes to hear of it. When this
    /// process ends before, the controller does so by itself.
    private func abandon(_ record: CollectionRecord) {
        Task {
            for _ in 0..<1_000 {
                let isDone: Void? = try? await setState(
                    .deleting, of: record.id, name: record.name, from: .creating, deadline: .after(.seconds(5)))
                if isDone != nil { return }
                if cache.current.collection(record.id) == nil { return }
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }
}

extension DatabaseError {
    /// What a client is told when a replica did not take a snapshot's files.
    fileprivate init(recovery error: ShardError, shard: ShardNumber, node: NodeID) {
        let reason = "shard \(shard) on node \(node): \(error)"
        switch error {
        case .outOfSpace: self = .outOfSpace(reason: reason)
        case .corrupted, .invalid: self = .invalid(reason: "snapshot: \(reason)")
        case .storage: self = .internalFailure(reason: reason)
        default: self = .unavailable(reason: reason)
        }
    }
}

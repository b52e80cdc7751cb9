package import Cluster
package import Coordinator
import DataModel
package import Logging
import RPC
import ServiceLifecycle
package import Shard
import Synchronization

/// A node of the cluster: hosts replicas, answers its peers, coordinates clients' requests, and runs the controller
/// when it is this node's turn.
package final class Node: Service {
    /// For handing primaries over before the node goes; what is not handed over by then fails over.
    private static let handoverPatience: Duration = .seconds(1)

    /// What exists between start and shutdown.
    private struct Running: Sendable {
        let lock: FolderLock
        let cache: ClusterStateCache
        let keeper: LeaseKeeper
        let replicas: HostedReplicas
        let server: RPCServer
        let peers: PeerPool
        let runtime: ShardRuntime
        let coordinator: Coordinator
        let snapshots: SnapshotLibrary
        let rpcPort: Int
        var tasks: [Task<Void, Never>]
        /// Ends last: everything else is told by it what changed.
        var follower: Task<Void, Never>
    }

    private let options: NodeOptions
    private let store: any ControlStore
    private let logger: Logger
    private let running = Mutex<Running?>(nil)
    private let isStopping = Atomic<Bool>(false)

    package init(options: NodeOptions, store: any ControlStore, logger: Logger) {
        self.options = options
        self.store = store
        var logger = logger
        logger[metadataKey: "node"] = "\(options.id)"
        self.logger = logger
    }

    /// What clients may ask of the cluster through this node.
    ///
    /// - Precondition: the node was started.
    package var database: any Database {
        guard let coordinator = running.withLock({ $0?.coordinator }) else {
            preconditionFailure("the node is not started")
        }
        return coordinator
    }

    /// The snapshots of this node.
    ///
    /// - Precondition: the node was started.
    package var snapshots: any SnapshotDatabase {
        guard let snapshots = running.withLock({ $0?.snapshots }) else {
            preconditionFailure("the node is not started")
        }
        return snapshots
    }

    /// The bound port.
    ///
    /// - Precondition: the node was started.
    package var rpcPort: Int {
        guard let port = running.withLock({ $0?.rpcPort }) else { preconditionFailure("the node is not started") }
        return port
    }

    /// What all replicas of this node keep and do, and how many of them are open, and damaged.
    package var storageFigures: (ShardFigures, replicas: (open: Int, damaged: Int)) {
        var figures = ShardFigures()
        var (open, damaged) = (0, 0)
        for replica in running.withLock({ $0?.replicas })?.all ?? [] {
            switch replica.state.withLock({ $0.phase }) {
            case .open(let shard):
                open += 1
                figures += shard.figures()
            case .damaged: damaged += 1
            case .opening, .awaitingFiles, .failed, .closed: break
            }
        }
        return (figures, (open, damaged))
    }

    /// Of all replicas whose primaries are here.
    package let comparisons = ComparisonFigures()

    // MARK: - Starting

    /// Checks the data folder, joins the cluster, and binds the RPC port. Returns when requests can be routed; replicas
    /// open in the background.
    ///
    /// - Throws: `NodeError`; nothing is left running then.
    package func start() async throws(NodeError) {
        let folder = DataFolder(path: options.dataFolder)
        let cluster = try await checkFolder(folder)
        let lock = try FolderLock(folder)
        // What a crash left of transfers that were under way.
        try? Files.remove(folder.transfers)

        let cache = ClusterStateCache(store: store, logger: logger)
        do {
            try await cache.load()
        } catch {
            throw .controlStore(reason: error.description)
        }
        let lease = LeaseGuard()
        let identity = RPC.NodeIdentity(cluster: cluster, node: options.id)
        let pool = PeerPool(identity: identity, logger: logger)
        let peers = Peers(cache: cache, pool: pool)
        let runtime = ShardRuntime(searchThreads: options.searchThreads, indexingThreads: options.indexingThreads)
        let directory = ReplicaDirectory(node: options.id, peers: peers)
        let replicas = HostedReplicas(
            environment: replicaEnvironment(
                cache: cache, lease: lease, folder: folder, runtime: runtime, peers: peers, directory: directory))
        directory.add(replicas)
        let server = RPCServer(
            identity: identity, replicas: replicas, readExecutor: runtime.searchExecutor, logger: logger)
        do throws(NodeError) {
            let port = try await bind(server)
            let former = FormerProcess(folder)
            try await markOutdatedFiles(folder, former)
            let keeper = LeaseKeeper(
                record: NodeRecord(
                    id: options.id, httpAddress: options.httpAddress, rpcHost: options.rpcHost, rpcPort: port,
                    zone: options.zone),
                lease: lease, ttl: options.leaseTTL, cache: cache, former: former, logger: logger)
            try await keeper.join()
            let coordinator = Coordinator(
                node: options.id, cache: cache,
                router: NodeRouter(node: options.id, replicas: replicas, peers: peers),
                queryExecutor: runtime.searchExecutor, hedgeShare: options.hedgeShare, logger: logger,
                readiness: { keeper.notReadyReason })
            var decisions = Controller.Options()
            decisions.transfersPerNode = options.transfersPerNode
            let controller = ControllerLoop(
                node: options.id, cache: cache, keeper: keeper, options: decisions, logger: logger)
            let reporter = KnowledgeReporter(node: options.id, cache: cache, keeper: keeper, logger: logger)
            let cutOver = CutOver(
                node: options.id, cache: cache, lease: lease, replica: directory.replica, logger: logger)
            let rounds = ComparisonRounds(replicas: replicas, interval: options.comparisonInterval)
            let automatic = options.automaticRebalanceAfter.map {
                AutomaticRebalance(
                    node: options.id, cache: cache, coordinator: coordinator, patience: $0, logger: logger)
            }
            let state = Running(
                lock: lock, cache: cache, keeper: keeper, replicas: replicas, server: server, peers: pool,
                runtime: runtime, coordinator: coordinator, snapshots: library(folder, coordinator), rpcPort: port,
                tasks: [
                    Task(executorPreference: keeper.executor) { await keeper.run() }, Task { await replicas.run() }, Task { await controller.run() },
                    Task { await reporter.run() }, Task { await rounds.run() }, Task { await automatic?.run() },
                    Task { await cutOver.run() },
                ],
                follower: Task { await cache.run() })
            running.withLock { $0 = state }
            logger.info("Joined cluster \(cluster), RPC on \(options.rpcHost):\(port)")
        } catch {
            await server.stop()
            pool.shutdown()
            runtime.shutdown()
            throw error
        }
    }

    /// - Returns: the cluster's id.
    private func checkFolder(_ folder: DataFolder) async throws(NodeError) -> String {
        try await StoreMigration.refuse(store)
        let known = try DataFolderIdentity.read(folder)
        let cluster: String
        do throws(ControlStoreError) {
            cluster =
                try await ClusterIdentity.find(in: store, mayCreate: known == nil)
                ?? "without an identity"
        } catch {
            throw .controlStore(reason: error.description)
        }
        try DataFolderIdentity.check(folder, node: options.id, cluster: cluster)
        return cluster
    }

    /// Before the node announces itself: from then on its replicas are counted on.
    private func markOutdatedFiles(_ folder: DataFolder, _ former: FormerProcess) async throws(NodeError) {
        do throws(ControlStoreError) {
            let entry = try await store.get(ControlKey.node(options.id))
            let recorded = entry.flatMap { NodeRecord(encoded: $0.value) }?.dataIncarnation
            guard former.isOutdated(recorded: recorded) else { return }
        } catch {
            throw .controlStore(reason: error.description)
        }
        logger.warning("\(folder.path) is a copy of an earlier time: its replicas are filled anew where others are in sync")
        do throws(FileError) {
            try OutdatedFiles.markReplicas(in: folder)
        } catch {
            throw .dataFolder(reason: error.description)
        }
    }

    private func library(_ folder: DataFolder, _ coordinator: Coordinator) -> SnapshotLibrary {
        let snapshots = SnapshotFolder(root: options.snapshotsFolder ?? folder.snapshots)
        snapshots.sweep()
        return SnapshotLibrary(
            folder: snapshots, importFolder: options.importFolder, coordinator: coordinator, logger: logger)
    }

    private func replicaEnvironment(
        cache: ClusterStateCache, lease: LeaseGuard, folder: DataFolder, runtime: ShardRuntime, peers: Peers,
        directory: ReplicaDirectory
    ) -> ReplicaEnvironment {
        let primary = PrimaryEnvironment(
            node: options.id, cache: cache, options: options.replication,
            maximumBackupUnindexedRows: UInt64(options.shard.maximumUnindexedRows) * 2, transfers: folder,
            maximumTransferBytesPerSecond: options.maximumTransferBytesPerSecond,
            logger: logger, backup: { shard, node in peers.backup(of: shard, on: node) },
            replica: directory.replica)
        return ReplicaEnvironment(
            node: options.id, cache: cache, lease: lease, folder: folder, options: options.shard, runtime: runtime,
            primary: primary, comparisons: comparisons, logger: logger)
    }

    private func bind(_ server: RPCServer) async throws(NodeError) -> Int {
        do {
            return try await server.start(host: options.rpcHost, port: options.rpcPort)
        } catch {
            throw .address(reason: "\(error)")
        }
    }

    // MARK: - Running and stopping

    /// Runs until the service group shuts down or the task is cancelled; then stops in order.
    package func run() async throws {
        try? await gracefulShutdown()
        await shutdown()
    }

    /// Hands primaries over, stops answering, stores and closes the replicas, and leaves the cluster. May be called
    /// twice.
    package func shutdown() async {
        guard let state = running.withLock({ $0 }), !isStopping.exchange(true, ordering: .acquiringAndReleasing) else {
            return
        }
        await handOver(state)
        await stop(state)
        await state.keeper.leave()
        state.follower.cancel()
        await state.follower.value
        state.runtime.shutdown()
        await store.close()
        state.lock.release()
        logger.info("Stopped")
    }

    /// Ends as a killed process would: nothing is handed over, nothing is revoked. For tests; the store must be
    /// abandoned by the caller.
    package func abandon() async {
        guard let state = running.withLock({ $0 }), !isStopping.exchange(true, ordering: .acquiringAndReleasing) else {
            return
        }
        state.keeper.lease.lost()
        await stop(state)
        state.follower.cancel()
        await state.follower.value
        state.runtime.shutdown()
        state.lock.release()
    }

    private func stop(_ state: Running) async {
        for task in state.tasks { task.cancel() }
        await state.server.stop()
        for task in state.tasks { await task.value }
        await state.replicas.close()
        state.peers.shutdown()
    }

    /// Passes each primary's role to an in-sync replica elsewhere, so that writers notice nothing.
    private func handOver(_ state: Running) async {
        let node = options.id
        guard state.keeper.lease.holds, let current = try? await state.cache.refreshIfStale() else { return }
        var asked: Set<ShardID> = []
        for shard in current.allShards where shard.value.primary == node {
            guard let target = shard.value.inSync.first(where: { $0 != node && current.isLive($0) }) else { continue }
            var record = shard.value
            record.handover = record.handover ?? target
            let outcome = try? await store.compareAndSwap(
                ControlKey.shard(record.id), expected: shard.revision, value: record.encoded)
            if case .committed = outcome { asked.insert(record.id) }
        }
        // Once is enough: the controller, which does not know that this node goes, may give one back.
        let waiting = Mutex(asked)
        _ = await state.cache.wait(deadline: .after(Self.handoverPatience)) { current in
            waiting.withLock { waiting in
                waiting = waiting.filter { current.shard($0)?.value.primary == node }
                return waiting.isEmpty
            }
        }
    }
}

import Cluster
import DataModel
import Logging
import Shard
import Synchronization

/// What all replicas of a node share.
struct ReplicaEnvironment: Sendable {
    let node: NodeID
    let cache: ClusterStateCache
    let lease: LeaseGuard
    let folder: DataFolder
    let options: ShardOptions
    let runtime: ShardRuntime
    let primary: PrimaryEnvironment
    let comparisons: ComparisonFigures
    let logger: Logger

    /// See `ClusterStateCache.stateForAnswers`.
    func stateForAnswers() async throws(ShardError) -> ClusterState {
        do {
            return try await cache.stateForAnswers()
        } catch {
            throw .notServing(reason: error.description)
        }
    }

    /// The state of the cluster, no older than the call.
    func freshState() async throws(ShardError) -> ClusterState {
        do {
            return try await cache.refreshIfStale()
        } catch {
            throw .notServing(reason: error.description)
        }
    }
}

/// One replica on this node: opens the shard, follows its record, and answers coordinators and primaries.
///
/// `LocalReplica+Serving` is the face towards coordinators, `LocalReplica+Backup` towards the primary,
/// `LocalReplica+Primary` how it becomes the primary itself,
/// `LocalReplica+Healing` what happens when the data is damaged or gone.
final class LocalReplica: Sendable {
    enum Phase {
        /// Its files are being opened, or replaced by a snapshot.
        case opening
        /// Its collection is being recovered from a snapshot, and the files are still to come.
        case awaitingFiles
        case open(Shard)
        /// Opening failed for a reason that may pass; tried again at the time.
        case failed(ShardError, retryAt: ContinuousClock.Instant)
        /// The files are damaged or gone: nothing is served from them.
        case damaged(reason: String)
        case closed
    }

    struct State {
        var phase = Phase.opening
        var shell: PrimaryShell?
        var fence = ReplicaFence()
        /// Whether the primary's role is waiting for the writes of a former primary to end.
        var isRoleDelayed = false
        /// That of the record as this process first read it.
        var firstEpoch: Epoch?
        var isRenewingEpoch = false
        var receiver: SnapshotReceiver?
        /// Copies that other nodes read.
        var copies: [UInt64: OutgoingCopy] = [:]
        var isHealing = false
        /// Whether only an operator's word speaks against its files.
        var isRepairAsked = false
        /// Since it was open.
        var hasToldThatAllIsGone = false
        /// Whether files of before a healing are kept aside.
        var hasDamagedFiles = false
        var payloadIndexes = PayloadIndexState()
        var isFollowingLinks = false
        /// When the primary's graph is asked again, after it was of no help.
        var linksWantedFrom = ContinuousClock.now
        var linkPause = Duration.zero
        /// While a split or merge fills the shard on this node.
        var filler: ShardFiller?
        /// Whether the shard has its log, and this replica may take the primary's role.
        var isFilled = false
    }

    static let retryDelay: Duration = .milliseconds(500)
    /// A write of a former primary is one commit away from its end.
    static let fencePoll: Duration = .milliseconds(2)
    /// For searches that run when the shard is replaced or removed to end.
    static let releasePatience: Duration = .seconds(15)

    let id: ShardID
    let collection: CollectionRecord
    let environment: ReplicaEnvironment
    let state = Mutex(State())
    private let opened = ContinuousClock.now
    private let searchLoad = Mutex(SearchLoad())
    let logger: Logger

    init(_ id: ShardID, collection: CollectionRecord, environment: ReplicaEnvironment) {
        self.id = id
        self.collection = collection
        self.environment = environment
        var logger = environment.logger
        logger[metadataKey: "shard"] = "\(collection.publicName)/\(id.number)"
        self.logger = logger
    }

    var node: NodeID { environment.node }
    var folder: String { environment.folder.replica(id) }

    /// The open shard.
    ///
    /// - Throws: `notServing` while it is not open, with the reason; `corrupted` while it is quarantined.
    func shard() throws(ShardError) -> Shard {
        let result: Result<Shard, ShardError> = state.withLock { state in
            switch state.phase {
            case .open(let shard): .success(shard)
            case .opening: .failure(.notServing(reason: "the replica is opening"))
            case .awaitingFiles: .failure(.notServing(reason: "the replica waits for the files of a snapshot"))
            case .failed(let error, _): .failure(.notServing(reason: "the replica cannot be opened: \(error)"))
            case .damaged(let reason): .failure(quarantined(reason))
            case .closed: .failure(.notServing(reason: "the replica is closed"))
            }
        }
        return try result.get()
    }

    /// What a request is told: it is not for this replica to say whether another one may answer.
    func quarantined(_ reason: String) -> ShardError {
        .corrupted(reason: "the replica of node \(node) is quarantined: \(reason)")
    }

    // MARK: - What it is busy with

    func noteSearch(since began: ContinuousClock.Instant) {
        let now = ContinuousClock.now
        let parts = (now - began).components
        let microseconds = UInt64(parts.seconds) * 1_000_000 + UInt64(parts.attoseconds / 1_000_000_000_000)
        let seconds = UInt64((now - opened).components.seconds)
        searchLoad.withLock { $0.add(microseconds: microseconds, atSeconds: seconds) }
    }

    /// Microseconds of searching in a second, over the last minute.
    var searchMicroseconds: UInt64 {
        let seconds = UInt64((ContinuousClock.now - opened).components.seconds)
        return searchLoad.withLock { $0.microsecondsPerSecond(atSeconds: seconds) }
    }

    // MARK: - Opening and closing

    /// Opens the files; never throws, since the node goes on without this replica.
    func open() async {
        do throws(ShardError) {
            if try await awaitsFiles() {
                return state.withLock { state in
                    if case .opening = state.phase { state.phase = .awaitingFiles }
                }
            }
            let shard = try await openFiles()
            let isWanted = state.withLock { state in
                guard case .opening = state.phase else { return false }
                state.phase = .open(shard)
                (state.hasToldThatAllIsGone, state.isRepairAsked) = (false, false)
                state.payloadIndexes.applied = nil
                return true
            }
            guard isWanted else { return await shard.close() }
            noteDamagedFiles()
            logger.info("Opened at sequence \(shard.position.sequence)")
            follow(environment.cache.current)
        } catch {
            state.withLock { state in
                guard case .opening = state.phase else { return }
                if case .corrupted(let reason) = error {
                    state.phase = .damaged(reason: reason)
                } else {
                    state.phase = .failed(error, retryAt: .now + Self.retryDelay)
                }
            }
            logger.error("The replica cannot be opened: \(error)")
            await noteUnfillable(error)
        }
    }

    private func openFiles() async throws(ShardError) -> Shard {
        let current = try await environment.freshState()
        guard let record = current.shard(id)?.value, record.replica(on: node) != nil else { throw .notHosted(id) }
        let mayBeNew = ReplicaHosting.mayBeginEmpty(record, on: node, in: current)
        let isInSync = record.isInSync(node)
        state.withLock { $0.firstEpoch = $0.firstEpoch ?? record.epoch }
        let (folder, schema, options) = (folder, ShardSchema(collection.config), environment.options)
        let (runtime, logger, collections) = (environment.runtime, logger, environment.folder.collections)
        return try await Blocking.run { () throws(ShardError) in
            do throws(FileError) {
                try SnapshotInstall(folder: folder).recover()
                try Files.createFolder(collections)
                if !isInSync { try OutdatedFiles.removeMark(folder) }
            } catch {
                throw ShardError(error)
            }
            guard !OutdatedFiles.isMarked(folder) else { throw .corrupted(reason: OutdatedFiles.reason(folder)) }
            guard mayBeNew || Shard.exists(folder: folder) else {
                throw .corrupted(reason: "\(folder) is gone")
            }
            return try Shard.open(
                folder: folder, schema: schema, options: options, runtime: runtime, logger: logger)
        }
    }

    /// Stores what is in memory and closes the files. The replica answers nothing from then on.
    func close() async {
        dropCopies()
        // It holds the shard, and its task the filler.
        let filler = state.withLock { state in
            defer { state.filler = nil }
            return state.filler
        }
        await filler?.end()
        guard let shard = takeShard(leaving: .closed) else { return }
        await shard.close()
    }

    /// Takes the shard out of service: its shell ends, new requests are refused.
    func takeShard(leaving phase: Phase) -> Shard? {
        let (shard, shell): (Shard?, PrimaryShell?) = state.withLock { state in
            let shell = state.shell
            state.shell = nil
            var shard: Shard?
            if case .open(let open) = state.phase { shard = open }
            state.phase = phase
            return (shard, shell)
        }
        shell?.end()
        return shard
    }

    /// Waits until nobody uses the closed shard's files any more: LMDB must not open others of the same path before.
    func waitUntilReleased() async throws(ShardError) {
        let deadline = Deadline.after(Self.releasePatience)
        while Shard.isOpen(folder: folder) {
            guard !deadline.isPast, (try? await Task.sleep(for: .milliseconds(5))) != nil else {
                throw .storage(reason: "the files in \(folder) are still in use")
            }
        }
    }

    /// Removes the replica's files, after its record went away. False when they are left over.
    func remove() async -> Bool {
        await close()
        do throws(ShardError) {
            try await waitUntilReleased()
            try await Blocking.run { [environment, id] () throws(ShardError) in
                do throws(FileError) {
                    try environment.folder.removeReplica(id)
                } catch {
                    throw ShardError(error)
                }
            }
            logger.info("Removed the replica, which no record names any more")
            return true
        } catch {
            logger.warning("The replica's files are left over for now: \(error)")
            return false
        }
    }

    // MARK: - Following the record

    /// Takes in a newer state of the cluster: becomes the primary, tells the primary's shell, heals what is damaged.
    func follow(_ current: ClusterState) {
        guard let record = current.shard(id) else { return }
        let shell = state.withLock { state in
            state.isRoleDelayed = false
            if let shell = state.shell, shell.isOver {
                shell.end()
                state.shell = nil
            }
            return state.shell
        }
        if let shell {
            shell.follow(current)
        } else if record.value.primary == node {
            if record.value.filling == nil || state.withLock({ $0.isFilled }) { becomePrimary(record, in: current) }
        }
        healIfNeeded(record)
        endAwaiting(record.value, in: current)
        reconcilePayloadIndexes(current)
        if record.value.filling != nil { beginFilling(record, in: current) }
    }

    /// Whether the replica has to follow the same state again: to be healed, or to have another try as primary.
    var isUnsettled: Bool {
        state.withLock { state in
            if case .damaged = state.phase { return true }
            return state.hasDamagedFiles || state.shell.map { $0.isOver || $0.awaitsKnowledge } ?? false
        }
    }

    /// To be called about every 50 ms.
    func tick() {
        quarantineIfDamaged()
        dropForgottenCopies()
        if state.withLock({ $0.isRoleDelayed }) { follow(environment.cache.current) }
        state.withLock { $0.shell }?.tick()
        let retries = state.withLock { state in
            guard case .failed(_, let retryAt) = state.phase, retryAt <= .now else { return false }
            state.phase = .opening
            return true
        }
        if retries { Task { await open() } }
    }
}

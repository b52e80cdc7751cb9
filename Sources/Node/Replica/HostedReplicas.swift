import Cluster
import DataModel
import Logging
import RPC
import Shard
import Synchronization

/// The replicas on this node: opens those that the map gives to it, closes and removes those that it takes away.
final class HostedReplicas: ReplicaHost {
    /// The pace of everything that happens by time: timeouts of backups, deadlines of writes, retries.
    private static let tick: Duration = .milliseconds(50)

    private static let ticksPerFollowing = 10
    /// For this long after a change each replica follows it again: two states may have been followed in the wrong order.
    private static let settlingTicks = 100
    /// Longer after a change, only those that wait for something; all of them now and then, whatever may have been missed.
    private static let ticksPerReview = 200
    private static let sweepInterval: Duration = .seconds(60)

    private struct State {
        var replicas: [ShardID: LocalReplica] = [:]
        /// Being closed and deleted; a replica that is assigned anew waits for that.
        var leaving: Set<ShardID> = []
        var isClosed = false
        var followed: Revision?
        /// When to look for files of replicas that no record names; nil when there are none.
        var nextSweep: ContinuousClock.Instant? = .now
    }

    private let environment: ReplicaEnvironment
    private let logger: Logger
    private let state = Mutex(State())

    init(environment: ReplicaEnvironment) {
        self.environment = environment
        logger = environment.logger
    }

    // MARK: - Looking up

    /// - Throws: `notHosted` when the map gives this node no replica of the shard.
    func replica(on id: ShardID) async throws(ShardError) -> LocalReplica {
        if let replica = staying(id) { return replica }
        // It may have been assigned a moment ago.
        follow(try await environment.freshState())
        guard let replica = staying(id) else { throw .notHosted(id) }
        return replica
    }

    /// One that may be removed answers nothing: what it has would be counted on when it is assigned anew.
    private func staying(_ id: ShardID) -> LocalReplica? {
        state.withLock { $0.leaving.contains(id) ? nil : $0.replicas[id] }
    }

    func shard(_ id: ShardID) async throws(ShardError) -> any ShardService { try await replica(on: id) }

    func replica(_ id: ShardID) async throws(ShardError) -> any ReplicaService { try await replica(on: id) }

    var all: [LocalReplica] { state.withLock { Array($0.replicas.values) } }

    // MARK: - Following the map

    /// Runs until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await state in self.environment.cache.updates() { self.follow(state) }
            }
            group.addTask {
                var (ticks, lastChange) = (0, (revision: Revision.zero, tick: 0))
                while (try? await Task.sleep(for: Self.tick)) != nil {
                    ticks += 1
                    let current = self.environment.cache.current
                    if current.revision != lastChange.revision { lastChange = (current.revision, ticks) }
                    if ticks.isMultiple(of: Self.ticksPerFollowing) {
                        self.followAgain(
                            current, all: ticks - lastChange.tick < Self.settlingTicks
                                || ticks.isMultiple(of: Self.ticksPerReview))
                    }
                    for replica in self.all { replica.tick() }
                }
            }
            group.addTask {
                while (try? await Task.sleep(for: Self.tick)) != nil { await self.sweepIfNeeded() }
            }
        }
    }

    /// A node may have thousands of replicas that nothing happens to: those are left alone unless `all` are asked.
    private func followAgain(_ current: ClusterState, all: Bool) {
        if all { return follow(current) }
        for replica in self.all where replica.isUnsettled { replica.follow(current) }
    }

    /// Opens and follows what the state gives to this node; lets go of the rest.
    func follow(_ current: ClusterState) {
        let node = environment.node
        let (opened, followed, gone) = state.withLock { state -> ([LocalReplica], [LocalReplica], [LocalReplica]) in
            guard !state.isClosed, state.followed.map({ $0 <= current.revision }) ?? true else { return ([], [], []) }
            state.followed = current.revision
            var opened: [LocalReplica] = []
            for (collection, shards) in current.shards {
                guard let record = current.collection(collection)?.value else { continue }
                for (number, shard) in shards where shard.value.replica(on: node) != nil {
                    let id = ShardID(collection: collection, number: number)
                    guard state.replicas[id] == nil, !state.leaving.contains(id) else { continue }
                    let replica = LocalReplica(id, collection: record, environment: environment)
                    state.replicas[id] = replica
                    opened.append(replica)
                }
            }
            let gone = state.replicas.values.filter { replica in
                current.shard(replica.id)?.value.replica(on: node) == nil
                    && state.leaving.insert(replica.id).inserted
            }
            return (opened, Array(state.replicas.values), gone)
        }
        for replica in opened { Task { await replica.open() } }
        for replica in followed { replica.follow(current) }
        for replica in gone { Task { await self.letGo(of: replica) } }
    }

    /// Closes and deletes a replica, but only by the newest state: on an old one nothing is ever deleted.
    private func letGo(of replica: LocalReplica) async {
        let current = try? await environment.freshState()
        if let current, ReplicaHosting.mayRemove(replica.id, on: environment.node, in: current) {
            let isRemoved = await replica.remove()
            state.withLock { state in
                state.replicas[replica.id] = nil
                state.leaving.remove(replica.id)
                if !isRemoved { state.nextSweep = .now + Self.sweepInterval }
            }
            // It may have been assigned anew.
            follow(current)
        } else {
            state.withLock { _ = $0.leaving.remove(replica.id) }
        }
    }

    /// Removes what was left on disk when the map changed while the node was down, and what was in use for too long when
    /// it was to be removed.
    private func sweepIfNeeded() async {
        guard let time = state.withLock({ $0.nextSweep }), time <= .now,
            let current = try? await environment.freshState()
        else { return }
        state.withLock { $0.nextSweep = nil }
        for id in environment.folder.replicas()
        where ReplicaHosting.mayRemove(id, on: environment.node, in: current) {
            // One that is assigned anew meanwhile is not opened before its old files are gone.
            guard state.withLock({ $0.replicas[id] == nil && $0.leaving.insert(id).inserted }) else { continue }
            let isRemoved = await removeFiles(of: id)
            state.withLock { state in
                state.leaving.remove(id)
                if !isRemoved { state.nextSweep = .now + Self.sweepInterval }
            }
        }
        follow(environment.cache.current)
    }

    /// False when they are to be looked at again, since they are in use.
    private func removeFiles(of id: ShardID) async -> Bool {
        guard !Shard.isOpen(folder: environment.folder.replica(id)) else { return false }
        do throws(FileError) {
            try await Blocking.run { [environment] () throws(FileError) in try environment.folder.removeReplica(id) }
            logger.info("Removed the replica \(id), which no record names any more")
        } catch {
            logger.warning("The replica \(id) is left over: \(error)")
        }
        return true
    }

    // MARK: - Closing

    /// Stores and closes all replicas; none is opened any more.
    func close() async {
        let replicas = state.withLock { state in
            state.isClosed = true
            return Array(state.replicas.values)
        }
        await withTaskGroup(of: Void.self) { group in
            for replica in replicas { group.addTask { await replica.close() } }
        }
    }
}

import Cluster
import DataModel

/// A node: its disk, its clocks, and the program that runs on it now. Does what `Node`, `LeaseKeeper`, `ControllerLoop`
/// and `HostedReplicas` do, by the same decisions.
final class SimulatedNode {
    static let tick = 50_000
    static let controllerInterval = 100_000

    unowned let simulation: Simulation
    let id: NodeID

    // MARK: What outlives a crash
    var files: [ShardID: SimulatedFiles] = [:]
    var diskIsFull = false
    /// The replicas whose disk was lost, until they are out of the in-sync set: what they lack is known.
    var lost: Set<ShardID> = []
    /// The clock's rate against the store's, and how far the wall clock is off, in seconds.
    var drift = 0.0
    var wallOffset = 0.0
    private(set) var incarnation = 0

    // MARK: What does not
    private(set) var process: SimulatedProcess
    private(set) var cache = ClusterState()
    private(set) var lease = LeaseTerm()
    private var leaseID: LeaseID?
    private(set) var replicas: [ShardID: SimulatedReplica] = [:]
    private var leaving: Set<ShardID> = []

    init(_ id: NodeID, _ simulation: Simulation) {
        self.id = id
        self.simulation = simulation
        process = SimulatedProcess(simulation)
        process.kill()
    }

    var isUp: Bool { process.isAlive }
    var isStopped: Bool { process.stoppedUntil > simulation.now }
    /// The boot-time clock.
    var clock: Duration { .microseconds(Int(Double(simulation.now) * (1 + drift))) }
    private var wallClock: Double { Double(simulation.now) / 1e6 + 1_000_000 + wallOffset }
    var holdsLease: Bool { lease.holds(at: clock) }

    // MARK: - Life

    func start() {
        guard !isUp else { return }
        incarnation += 1
        process = SimulatedProcess(simulation)
        (cache, lease, leaseID, replicas, leaving) = (ClusterState(), LeaseTerm(), nil, [:], [])
        simulation.trace("node \(id): starts")
        load()
    }

    func crash() {
        guard isUp else { return }
        simulation.trace("node \(id): crashes")
        process.kill()
        for (_, replica) in replicas.sorted(by: { $0.key < $1.key }) { replica.shard?.lose() }
        replicas = [:]
        if simulation.profile.storeIsLocal { simulation.store.noticeDeath(of: id, incarnation: incarnation) }
    }

    func stop(for time: Int) {
        simulation.trace("node \(id): is stopped for \(time / 1_000) ms")
        process.stoppedUntil = simulation.now + time
    }

    private func load() {
        refresh { [self] result in
            if case .failure = result { return process.after(Self.tick) { [self] in load() } }
            join()
            watch()
            tick()
            runController()
            runCutOver()
            if !simulation.profile.storeIsLocal { reportKnowledge() }
        }
    }

    // MARK: - The control store

    /// Does something at the store. Fails as `unavailable` when a message was lost: whether it was done is unknown then.
    func ask<Answer>(
        changing keys: [String] = [], _ body: @escaping (SimulatedStore) -> Result<Answer, ControlStoreError>,
        done: @escaping (Result<Answer, ControlStoreError>) -> Void
    ) {
        // An answer that comes after a crash is not for the next process.
        let (store, process) = (simulation.store, process)
        guard !simulation.profile.storeIsLocal else {
            // Before, or after, another process gets its turn.
            process.after(simulation.random.within(1...500)) { [self] in
                let answer = body(store)
                process.after(simulation.random.within(1...200)) { done(answer) }
            }
            return
        }
        var isDone = false
        let finish = { (result: Result<Answer, ControlStoreError>) in
            if isDone { return }
            isDone = true
            done(result)
        }
        process.after(500_000) { finish(.failure(.unavailable(reason: "no answer"))) }
        guard let delay = simulation.network.delay(from: id, to: Simulation.storeID) else { return }
        store.changesBegin(of: keys)
        let isSlow = !keys.isEmpty && store.slowness > 0 && simulation.random.chance(0.4)
        let wait = isSlow ? simulation.random.within(0...store.slowness) : 0
        simulation.after(delay + wait) { [self] in
            store.changesEnd(of: keys)
            let answer = body(store)
            guard let delay = simulation.network.delay(from: Simulation.storeID, to: id) else { return }
            process.after(delay) { finish(answer) }
        }
    }

    func transaction(
        _ guards: [ControlGuard], _ mutations: [ControlMutation],
        done: @escaping (Result<TransactionOutcome, ControlStoreError>) -> Void
    ) {
        ask(changing: mutations.map(\.key), { $0.commit(guards: guards, mutations) }, done: done)
    }

    /// The state, no older than the call.
    func refresh(done: @escaping (Result<ClusterState, ShardError>) -> Void) {
        let known = cache.revision
        ask({ .success((events: $0.changes(after: known), revision: $0.revision)) }) { [self] result in
            switch result {
            case .success(let news):
                takeIn(news.events, upTo: news.revision)
                done(.success(cache))
            case .failure(let error): done(.failure(.notServing(reason: error.description)))
            }
        }
    }

    private func takeIn(_ events: [ControlEvent], upTo revision: Revision) {
        guard revision > cache.revision else { return }
        cache.apply(events, upTo: revision)
        followAll()
    }

    private func watch() {
        process.after(simulation.random.within(1_000...100_000)) { [self] in
            guard simulation.store.revision > cache.revision else { return watch() }
            refresh { [self] _ in watch() }
        }
    }

    // MARK: - The lease

    private var leaseTime: Int { simulation.profile.leaseTime }

    private func join() {
        let sentAt = clock
        ask({ [self] store in .success(store.grant(to: self, time: leaseTime)) }) { [self] result in
            guard case .success(let granted) = result else {
                return process.after(Self.tick) { [self] in join() }
            }
            announce(granted, sentAt: sentAt)
        }
    }

    private func announce(_ granted: LeaseID, sentAt: Duration) {
        let record = NodeRecord(id: id, httpAddress: "h:\(id)", rpcHost: "h", rpcPort: Int(id.rawValue))
        // Another one each time that it joins.
        let liveness = NodeLiveness(id: id, incarnation: UInt64(simulation.newNumber()), pid: 1, startedAt: wallClock)
        transaction(
            [ControlGuard(key: ControlKey.live(id), expected: nil)],
            [
                .put(key: ControlKey.node(id), value: record.encoded),
                .put(key: ControlKey.live(id), value: liveness.encoded, lease: granted),
            ]
        ) { [self] result in
            if case .success(.committed) = result {
                begin(under: granted, sentAt: sentAt)
            } else {
                // The former incarnation's announcement is waited out.
                ask({ .success($0.revoke(granted)) }) { (_: Result<Void, ControlStoreError>) in }
                process.after(Self.tick) { [self] in join() }
            }
        }
    }

    /// Whoever waits until all nodes know a change does not wait for one that joined later: so it reads the state first.
    private func begin(under granted: LeaseID, sentAt: Duration) {
        refresh { [self] result in
            guard case .success = result else {
                ask({ .success($0.revoke(granted)) }) { (_: Result<Void, ControlStoreError>) in }
                return process.after(Self.tick) { [self] in join() }
            }
            simulation.trace("node \(id): holds lease \(granted)")
            leaseID = granted
            lease.renewed(sentAt: sentAt, ttl: .microseconds(leaseTime))
            keepLeaseAlive()
        }
    }

    /// What `KnowledgeReporter` does.
    private func reportKnowledge() {
        process.after(simulation.random.within(1_000...20_000)) { [self] in
            guard holdsLease, let leaseID, cache.mustBeTold(by: id) else { return reportKnowledge() }
            let revision = cache.revision
            transaction(
                [], [.put(key: ControlKey.known(id), value: KnownRevision(revision).encoded, lease: leaseID)]
            ) { [self] _ in reportKnowledge() }
        }
    }

    private func keepLeaseAlive() {
        process.after(leaseTime / 6) { [self] in
            guard let held = leaseID else { return }
            let sentAt = clock
            ask({ $0.keepAlive(held) }) { [self] result in
                switch result {
                case .success:
                    lease.renewed(sentAt: sentAt, ttl: .microseconds(leaseTime))
                    keepLeaseAlive()
                case .failure(.leaseExpired):
                    lease.lost()
                    leaseID = nil
                    join()
                case .failure: keepLeaseAlive()
                }
            }
        }
    }

    // MARK: - The controller

    private func runController() {
        process.after(Self.controllerInterval) { [self] in
            guard holdsLease, let leaseID else { return runController() }
            var options = Controller.Options()
            options.startGraceSeconds = 0.5
            options.deadNodePatienceSeconds = 5
            switch Controller.step(cache, as: id, now: wallClock, options: options) {
            case .wait: runController()
            case .claim:
                let value = ControllerRecord(node: id).encoded
                transaction(
                    [ControlGuard(key: ControlKey.controller, expected: nil)],
                    [.put(key: ControlKey.controller, value: value, lease: leaseID)]
                ) { [self] _ in runController() }
            case .act(let actions): act(actions[...])
            }
        }
    }

    private func act(_ actions: ArraySlice<ControlAction>) {
        guard let action = actions.first, holdsLease else { return runController() }
        let mutations =
            simulation.plants(.electsReplicasThatAreNotInSync)
            ? action.mutations.map { electAnybody($0) } : action.mutations
        transaction(action.guards, mutations) { [self] result in
            if case .success(.committed) = result { simulation.trace("node \(id) as controller: \(action.summary)") }
            guard case .success = result else { return runController() }
            act(actions.dropFirst())
        }
    }

    private func electAnybody(_ mutation: ControlMutation) -> ControlMutation {
        guard case .put(let key, let value, nil) = mutation, var record = ShardRecord(encoded: value),
            let former = cache.shard(record.id)?.value, former.primary != record.primary,
            let index = record.replicas.firstIndex(where: { $0.state == .catchingUp && cache.isLive($0.node) })
        else { return mutation }
        record.replicas[index].state = .inSync
        record.primary = record.replicas[index].node
        return .put(key: key, value: record.encoded)
    }

    // MARK: - Cut-over

    /// What `CutOver` does.
    private func runCutOver() {
        process.after(Self.tick) { [self] in
            let operation = cache.operations.values.first { Resharding.conductor(of: $0.value, in: cache) == id }
            guard let operation, holdsLease else { return runCutOver() }
            SimulatedCutOver(operation.value.id, self).perform { [self] failure in
                guard let failure else { return runCutOver() }
                simulation.trace("node \(id): operation \(operation.value.id): cannot cut over, \(failure)")
                process.after(1_000_000) { [self] in runCutOver() }
            }
        }
    }

    // MARK: - Replicas

    private func tick() {
        process.after(Self.tick) { [self] in
            for (_, replica) in replicas.sorted(by: { $0.key < $1.key }) { replica.tick() }
            if simulation.random.chance(0.1) { followAll() }
            tick()
        }
    }

    func followAll() {
        let assigned = cache.shards(of: simulation.collection).filter { $0.value.replica(on: id) != nil }.map(\.value.id)
        for shard in assigned where replicas[shard] == nil {
            let replica = SimulatedReplica(shard, self)
            replicas[shard] = replica
            replica.open()
        }
        if cache.revision > .zero {
            // Left on disk when the map changed while the node was down.
            for shard in files.keys.sorted() where replicas[shard] == nil { sweep(shard) }
        }
        for (shard, replica) in replicas.sorted(by: { $0.key < $1.key }) {
            replica.follow(cache)
            if !assigned.contains(shard), leaving.insert(shard).inserted { letGo(of: replica) }
        }
    }

    /// The replica, for calls from others; nil while it may be removed.
    func answeringReplica(of shard: ShardID) -> SimulatedReplica? { leaving.contains(shard) ? nil : replicas[shard] }

    private func letGo(of replica: SimulatedReplica) {
        simulation.trace("node \(id): no record names its replica of shard \(replica.id.number)")
        refresh { [self] result in
            guard case .success(let current) = result, ReplicaHosting.mayRemove(replica.id, on: id, in: current) else {
                leaving.remove(replica.id)
                return
            }
            replica.close { [self] in
                process.after(simulation.random.within(100...5_000)) { [self] in
                    simulation.trace("node \(id): removes its replica of shard \(replica.id.number)")
                    files[replica.id] = nil
                    replicas[replica.id] = nil
                    leaving.remove(replica.id)
                    followAll()
                }
            }
        }
    }

    private func sweep(_ shard: ShardID) {
        refresh { [self] result in
            guard case .success(let current) = result, replicas[shard] == nil,
                ReplicaHosting.mayRemove(shard, on: id, in: current)
            else { return }
            files[shard] = nil
        }
    }

    /// Finds the replica for a call, looking anew when it may have been assigned a moment ago.
    func withReplica(
        of shard: ShardID, _ body: @escaping (SimulatedReplica) -> Void, else refuse: @escaping (ShardError) -> Void
    ) {
        if let replica = answeringReplica(of: shard) { return body(replica) }
        refresh { [self] _ in
            guard let replica = answeringReplica(of: shard) else { return refuse(.notHosted(shard)) }
            body(replica)
        }
    }
}

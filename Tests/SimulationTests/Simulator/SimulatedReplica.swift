import Cluster
import DataModel

/// One replica while its node's program runs: what `LocalReplica` does, by the same decisions. `+Backup` is the face
/// towards the primary, `+Serving` towards coordinators.
final class SimulatedReplica {
    enum Phase {
        case opening
        case open(SimulatedShard)
        case failed
        case damaged
        case closed
    }

    let id: ShardID
    unowned let node: SimulatedNode
    private(set) var phase = Phase.opening
    private(set) var primary: SimulatedPrimary?
    var fence = ReplicaFence()
    /// The snapshot transfer that is under way.
    var transfer: Int?
    private var isRoleDelayed = false
    private var isHealing = false
    private var isRepairAsked = false

    /// While a split or merge fills the shard on this node.
    private(set) var filler: SimulatedFiller?
    /// Whether the shard has its log, and this replica may take the primary's role.
    var isFilled = false

    init(_ id: ShardID, _ node: SimulatedNode) {
        self.id = id
        self.node = node
    }

    var simulation: Simulation { node.simulation }
    var process: SimulatedProcess { node.process }

    var shard: SimulatedShard? {
        if case .open(let shard) = phase { shard } else { nil }
    }

    func openShard() throws(ShardError) -> SimulatedShard {
        guard let shard else { throw .notServing(reason: "not open") }
        return shard
    }

    // MARK: - Opening and closing

    func open(done: @escaping () -> Void = {}) {
        node.refresh { [self] result in
            guard case .opening = phase else { return done() }
            guard case .success(let current) = result, let record = current.shard(id)?.value,
                record.replica(on: node.id) != nil
            else {
                phase = .failed
                return done()
            }
            let mayBeEmpty =
                ReplicaHosting.mayBeginEmpty(record, on: node.id, in: current)
                || simulation.plants(.beginsEmptyInSync)
                || simulation.plants(.beginsEmptyWhileTheShardIsFilled) && record.filling != nil
            process.after(simulation.random.within(500...50_000)) { [self] in
                guard case .opening = phase else { return done() }
                if node.files[id] == nil && !mayBeEmpty {
                    phase = .damaged
                } else {
                    if node.files[id] == nil { beginEmpty() }
                    phase = .open(SimulatedShard(id, node))
                    simulation.trace(
                        "node \(node.id): opened shard \(id.number) at \(node.files[id]?.position.sequence ?? .zero)")
                    simulation.judge.filesReplaced(of: id, on: node)
                    follow(node.cache)
                }
                done()
            }
        }
    }

    /// From here on nobody is excused by the loss of a disk: the replica counts as one that has all it needs.
    private func beginEmpty() {
        node.files[id] = SimulatedFiles()
        node.lost.remove(id)
    }

    func close(done: @escaping () -> Void) {
        filler?.end()
        filler = nil
        guard let shard = takeShard(leaving: .closed) else { return done() }
        shard.close(done: done)
    }

    func takeShard(leaving phase: Phase) -> SimulatedShard? {
        let taken = shard
        primary?.end()
        primary = nil
        self.phase = phase
        return taken
    }

    // MARK: - Following the record

    func follow(_ current: ClusterState) {
        guard let record = current.shard(id) else { return }
        if let primary, primary.session.isOver {
            primary.end()
            self.primary = nil
        }
        if let primary {
            primary.follow(current)
        } else if record.value.primary == node.id, record.value.filling == nil || isFilled {
            becomePrimary(record, in: current)
        }
        heal(record)
        if record.value.filling != nil { beginFilling(record.value, in: current) }
    }

    /// What one process has begun no other goes on with.
    private func beginFilling(_ record: ShardRecord, in current: ClusterState) {
        guard let filling = record.filling, record.primary == node.id, filler == nil, !isFilled, let shard,
            current.live[node.id]?.value.incarnation == filling.incarnation,
            let operation = current.operations[filling.operation]?.value, case .reshard(let plan) = operation.kind
        else { return }
        filler = SimulatedFiller(self, shard, record, plan, operation)
        filler?.run()
    }

    private func becomePrimary(_ record: Stored<ShardRecord>, in current: ClusterState) {
        guard let shard else { return }
        let passage = fence.raise(to: record.value.epoch)
        let passes = passage == .open || simulation.plants(.answersWhileOlderWritesAreUnderWay)
        isRoleDelayed = !passes
        guard passes else { return }
        simulation.trace(
            "node \(node.id): primary of shard \(id.number) in epoch \(record.value.epoch) at \(shard.position.sequence)"
        )
        let session = PrimarySession(
            node: node.id, record: record, position: shard.position,
            writeConsistencyFactor: simulation.profile.writeConsistencyFactor, cluster: current,
            options: simulation.profile.options,
            answersAreChecked: simulation.profile.storeIsLocal
                || simulation.plants(.acknowledgesBeforeAllKnow))
        let primary = SimulatedPrimary(self, shard: shard, session: session)
        self.primary = primary
        primary.begin()
        primary.follow(current)
    }

    func tick() {
        if isRoleDelayed { follow(node.cache) }
        primary?.feed(.tick)
        if case .failed = phase, simulation.random.chance(0.1) {
            phase = .opening
            open()
        }
        heal(node.cache.shard(id))
    }

    // MARK: - Healing

    private func heal(_ record: Stored<ShardRecord>?) {
        guard case .damaged = phase, !isHealing, let record, record.value.replica(on: node.id) != nil else { return }
        isHealing = true
        guard record.value.isInSync(node.id) else { return beginAnew(record) }
        let live = node.cache.liveNodes
        guard let changed = ReplicaHosting.leavingInSyncSet(record.value, on: node.id, live: live) else {
            return withdrawRepair(record)
        }
        node.transaction(
            [ControlGuard(key: ControlKey.shard(id), expected: record.revision)],
            [.put(key: ControlKey.shard(id), value: changed.encoded)]
        ) { [self] _ in isHealing = false }
    }

    /// The primary may be about to take the replica in for what it had.
    private func beginAnew(_ record: Stored<ShardRecord>) {
        let begin = { [self] (isAllowed: Bool) in
            guard isAllowed, case .damaged = phase else {
                isHealing = false
                return
            }
            node.files[id] = nil
            isRepairAsked = false
            phase = .opening
            open { [self] in isHealing = false }
        }
        if simulation.plants(.emptiesAReplicaWithinAnEpoch) { return begin(true) }
        renewEpoch(record, done: begin)
    }

    /// The others that could have filled it are gone since.
    private func withdrawRepair(_ record: Stored<ShardRecord>) {
        guard isRepairAsked else {
            isHealing = false
            return
        }
        let again = { [self] (isAllowed: Bool) in
            guard isAllowed, case .damaged = phase else {
                isHealing = false
                return
            }
            isRepairAsked = false
            phase = .opening
            open { [self] in isHealing = false }
        }
        // The former epoch may have promised that nothing is written any more.
        if record.value.primary == node.id { renewEpoch(record, done: again) } else { again(true) }
    }

    private func renewEpoch(_ record: Stored<ShardRecord>, done: @escaping (Bool) -> Void) {
        let key = ControlKey.shard(id)
        node.transaction(
            [ControlGuard(key: key, expected: record.revision)], [.put(key: key, value: record.value.renewed.encoded)]
        ) { result in
            if case .success(.committed) = result { done(true) } else { done(false) }
        }
    }

    var isDamaged: Bool {
        if case .damaged = phase { true } else { false }
    }

    /// Takes the replica for a damaged one, as an operator may.
    func repair() {
        guard let shard = takeShard(leaving: .damaged) else { return }
        isHealing = true
        isRepairAsked = true
        shard.close { [self] in isHealing = false }
    }
}

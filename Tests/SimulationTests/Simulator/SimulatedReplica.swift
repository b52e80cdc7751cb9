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

    unowned let node: SimulatedNode
    private(set) var phase = Phase.opening
    private(set) var primary: SimulatedPrimary?
    var fence = ReplicaFence()
    /// The snapshot transfer that is under way.
    var transfer: Int?
    private var isRoleDelayed = false
    private var isHealing = false
    private var isRepairAsked = false

    init(_ node: SimulatedNode) { self.node = node }

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
            guard case .success(let current) = result, let record = current.shard(simulation.shard)?.value,
                record.replica(on: node.id) != nil
            else {
                phase = .failed
                return done()
            }
            let mayBeEmpty =
                ReplicaHosting.mayBeginEmpty(record, on: node.id, in: current)
                || simulation.plants(.beginsEmptyInSync)
            process.after(simulation.random.within(500...50_000)) { [self] in
                guard case .opening = phase else { return done() }
                if node.files == nil && !mayBeEmpty {
                    phase = .damaged
                } else {
                    node.files = node.files ?? SimulatedFiles()
                    phase = .open(SimulatedShard(node))
                    simulation.trace("node \(node.id): opened at \(node.files?.position.sequence ?? .zero)")
                    simulation.judge.filesReplaced(on: node)
                    follow(node.cache)
                }
                done()
            }
        }
    }

    func close(done: @escaping () -> Void) {
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
        guard let record = current.shard(simulation.shard) else { return }
        if let primary, primary.session.isOver {
            primary.end()
            self.primary = nil
        }
        if let primary {
            primary.follow(current)
        } else if record.value.primary == node.id {
            becomePrimary(record, in: current)
        }
        heal(record)
    }

    private func becomePrimary(_ record: Stored<ShardRecord>, in current: ClusterState) {
        guard let shard else { return }
        let passage = fence.raise(to: record.value.epoch)
        let passes = passage == .open || simulation.plants(.answersWhileOlderWritesAreUnderWay)
        isRoleDelayed = !passes
        guard passes else { return }
        simulation.trace("node \(node.id): primary in epoch \(record.value.epoch) at \(shard.position.sequence)")
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
        heal(node.cache.shard(simulation.shard))
    }

    // MARK: - Healing

    private func heal(_ record: Stored<ShardRecord>?) {
        guard case .damaged = phase, !isHealing, let record, record.value.replica(on: node.id) != nil else { return }
        isHealing = true
        guard record.value.isInSync(node.id) else { return beginAnew(record) }
        let live = node.cache.liveNodes
        guard let changed = ReplicaHosting.leavingInSyncSet(record.value, on: node.id, live: live) else {
            return withdrawRepair()
        }
        node.transaction(
            [ControlGuard(key: ControlKey.shard(simulation.shard), expected: record.revision)],
            [.put(key: ControlKey.shard(simulation.shard), value: changed.encoded)]
        ) { [self] _ in isHealing = false }
    }

    /// The primary may be about to take the replica in for what it had.
    private func beginAnew(_ record: Stored<ShardRecord>) {
        let begin = { [self] (isAllowed: Bool) in
            guard isAllowed, case .damaged = phase else { return isHealing = false }
            node.files = nil
            isRepairAsked = false
            phase = .opening
            open { [self] in isHealing = false }
        }
        if simulation.plants(.emptiesAReplicaWithinAnEpoch) { return begin(true) }
        let key = ControlKey.shard(simulation.shard)
        node.transaction(
            [ControlGuard(key: key, expected: record.revision)], [.put(key: key, value: record.value.renewed.encoded)]
        ) { result in
            if case .success(.committed) = result { begin(true) } else { begin(false) }
        }
    }

    /// The others that could have filled it are gone since.
    private func withdrawRepair() {
        guard isRepairAsked else { return isHealing = false }
        isRepairAsked = false
        phase = .opening
        open { [self] in isHealing = false }
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

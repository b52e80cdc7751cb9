import Cluster
import DataModel

/// Splits and merges, and what goes wrong while they are under way.
extension Nemesis {
    func reshard() {
        guard anySource != nil else { return simulation.random.chance(0.5) ? planSplit() : planMerge() }
        switch simulation.random.within(0...7) {
        case 0: if simulation.random.chance(0.3) { cancelOperation() }
        case 1, 2, 3: if profile.faults.slowStore { slowStoreAtCutOver() }
        case 4, 5: if profile.faults.crashes { crashSourceThatIsAhead() }
        case 6: if profile.faults.lostDisks { loseNewReplica() }
        default: if profile.faults.lostDisks { repairHeldPrimary() }
        }
    }

    /// A primary that new shards read from.
    var anySource: SimulatedNode? { anySourceRecord.map { simulation.node($0.primary) } }

    private var anySourceRecord: ShardRecord? {
        for operation in simulation.store.operations where operation.state == .running {
            guard case .reshard(let plan) = operation.kind else { continue }
            return plan.sources.compactMap { simulation.store.records[$0]?.value }
                .randomElement(using: &simulation.random)
        }
        return nil
    }

    /// The transaction that puts new shards in the places of old ones may come when those take writes again.
    private func slowStoreAtCutOver() {
        eventually(within: 3_000, every: 20) { [self] in
            let isClose = simulation.nodes.contains { node in
                node.cache.operations.values.contains { Resharding.conductor(of: $0.value, in: node.cache) == node.id }
            }
            if isClose { slowStore() }
            return isClose
        }
    }

    /// What it has and its backup has not is taken back; those who fill new shards live on.
    private func crashSourceThatIsAhead() {
        eventually(within: 3_000, every: 20) { [self] in
            let fillers = simulation.store.all.filter { $0.filling != nil }.map(\.primary)
            guard healing == nil, !isCalm, isAllUp, let record = anySourceRecord, !fillers.contains(record.primary),
                let backup = record.inSync.first(where: { $0 != record.primary && !fillers.contains($0) })
            else { return false }
            let time = simulation.random.within(100...600) * 1_000
            simulation.trace("the primary of shard \(record.id.number) is about to crash, ahead of its backup")
            cut(both(record.primary, backup), for: time)
            simulation.after(time * 9 / 10) { [self] in if !isStopped { crash(simulation.node(record.primary)) } }
            return true
        }
    }

    /// A backup of a shard that is being filled begins anew without its files, before its primary may have heard of it.
    private func loseNewReplica() {
        eventually(within: 3_000, every: 10) { [self] in
            guard healing == nil, !isCalm, isAllUp else { return false }
            for record in simulation.store.all where record.filling != nil {
                guard let backup = record.inSync.first(where: { $0 != record.primary }) else { continue }
                let node = simulation.node(backup)
                simulation.trace("node \(backup): loses what it has of shard \(record.id.number)")
                simulation.node(record.primary).stop(for: simulation.random.within(50...400) * 1_000)
                node.crash()
                node.files[record.id] = nil
                node.lost.insert(record.id)
                healing = backup
                simulation.after(simulation.random.within(1...50) * 1_000) { node.start() }
                return true
            }
            return false
        }
    }

    /// An operator takes a replica for a damaged one that has just promised to take no writes.
    private func repairHeldPrimary() {
        eventually(within: 3_000) { [self] in
            guard isAllUp, healing == nil && !isCalm else { return false }
            for record in simulation.store.serving where record.inSync.count > 1 {
                let replica = simulation.node(record.primary).replicas[record.id]
                guard let replica, replica.primary?.session.state.heldUntil != nil else { continue }
                simulation.trace("operator: repair of the primary of shard \(record.id.number)")
                replica.repair()
                return true
            }
            return false
        }
    }
}

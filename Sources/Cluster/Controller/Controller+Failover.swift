import DataModel

extension Controller {
    /// Gives shards whose primaries died another one, and takes dead nodes out of in-sync sets: writes need not wait
    /// for them, and reads must not go there. The last in-sync replica stays, dead or not: it has what was
    /// acknowledged.
    mutating func failOver() {
        if isStarting && state.nodes.keys.contains(where: { !state.isLive($0) }) { return }
        for shard in state.allShards where !touched.contains(shard.value.id) && !isDeleting(shard.value.id.collection) {
            let record = shard.value
            let alive = record.inSync.filter { state.isLive($0) }
            let dead = Set(record.inSync.filter { !state.isLive($0) })
            // Every in-sync replica holds every acknowledged write, so the choice may be by load.
            guard !dead.isEmpty, let target = successor(of: record, among: alive) else { continue }
            if target != record.primary { counts.movePrimary(from: record.primary, to: target) }
            let nodes = dead.sorted().map(\.description).joined(separator: ", ")
            replace(
                shard, with: record.failingOver(to: target, dead: dead),
                summary: target == record.primary
                    ? "shard \(record.id): dead node \(nodes) leaves the in-sync set"
                    : "shard \(record.id): node \(target) becomes primary, dead node \(nodes) leaves the in-sync set",
                // One that is back meanwhile has everything, and the target may be gone by then.
                guards: ([target] + dead.sorted()).map(state.livenessGuard))
        }
    }

    /// The present primary while it lives, else the one that was to take over, else the one with the fewest primaries;
    /// one that is being drained only when there is no other.
    private func successor(of record: ShardRecord, among alive: [NodeID]) -> NodeID? {
        if alive.contains(record.primary) { return record.primary }
        if let handover = record.handover, alive.contains(handover) { return handover }
        let staying = alive.filter { !state.isDraining($0) }
        return (staying.isEmpty ? alive : staying).min {
            (counts.primaries[$0, default: 0], counts.replicas[$0, default: 0], $0)
                < (counts.primaries[$1, default: 0], counts.replicas[$1, default: 0], $1)
        }
    }

    /// Hands one primary over from a node that has many to one that has few, when nothing else is going on. A node that
    /// comes back so gets its share of the writes again.
    mutating func balancePrimaries() {
        guard options.balancesPrimaries, actions.isEmpty, state.openOperations.isEmpty else { return }
        let shards = state.allShards.filter { !isDeleting($0.value.id.collection) }
        // Not while anything is unusual: a handover stops the shard's writes for a moment.
        guard shards.allSatisfy({ $0.value.handover == nil && $0.value.inSync.count == $0.value.replicas.count }),
            state.nodes.keys.allSatisfy({ state.isLive($0) || state.isDraining($0) }),
            state.collections.values.allSatisfy({ $0.value.state == .ready })
        else { return }
        var best: (shard: Stored<ShardRecord>, target: NodeID, gain: Int)?
        for shard in shards {
            let present = counts.primaries[shard.value.primary, default: 0]
            for target in shard.value.inSync where target != shard.value.primary && !state.isDraining(target) {
                let gain = present - counts.primaries[target, default: 0]
                // A difference of one would only wander.
                if gain >= 2 && gain > best?.gain ?? 0 { best = (shard, target, gain) }
            }
        }
        guard let best else { return }
        var record = best.shard.value
        record.handover = best.target
        replace(
            best.shard, with: record,
            summary: "shard \(record.id): node \(record.primary) has \(best.gain) primaries more than node "
                + "\(best.target) and shall hand this one over")
    }
}

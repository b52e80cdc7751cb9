import DataModel

/// A replica is taken away, after its node has passed the primary's role on. The last one that is in sync and alive
/// stays.
///
/// A drop waits for other nodes to come back only for a while: once it has failed, what planned it may find a better
/// replica to drop.
extension Controller {
    mutating func advanceDropReplica(
        _ operation: Stored<OperationRecord>, from node: NodeID, _ slots: inout TransferSlots
    ) {
        guard let id = operation.value.kind.shard else { return }
        switch operation.value.state {
        case .planned:
            guard let shard = existingShard(id, of: operation) else { return }
            if shard.value.replica(on: node) == nil {
                return fail(operation, "node \(node) has no replica of the shard")
            }
            if let obstacle = slots.obstacle(to: shard.value) { return noteObstacle(operation, obstacle) }
            slots.take(shard.value)
            let detail = "node \(node) gives its replica up"
            change(operation, to: .running, detail: detail, summary: "begins: \(detail)")
        case .running:
            guard let shard = existingShard(id, of: operation) else { return }
            let dropped = "node \(node) has given its replica up"
            guard shard.value.replica(on: node) != nil else { return finish(operation, as: .done, dropped) }
            let heirs = shard.value.inSync.filter { $0 != node && state.isLive($0) }
            let collection: Stored<CollectionRecord>? = state.collection(id.collection)
            let needed = heirsNeeded(operation, shard.value, of: node, collection?.value.config)
            if heirs.count < needed.count {
                return waitForHeirs(
                    operation, shard.value, of: node,
                    "\(heirs.count) other in-sync replicas are alive, and \(needed.reason) \(needed.count)")
            }
            giveReplicaUp(
                operation, shard, on: node, to: heirs.first { !state.isDraining($0) } ?? heirs.first, becomes: .done,
                detail: dropped)
        case .cancelling:
            finish(operation, as: .cancelled, "cancelled")
        case .done, .failed, .cancelled:
            return
        }
    }

    /// How many other replicas that are in sync and alive a drop leaves.
    ///
    /// One that an operation planned was chosen when all others lived: it does not go on while one of them is missed that
    /// the collection asks for. What an operator names is dropped as long as writes go on.
    private func heirsNeeded(
        _ operation: Stored<OperationRecord>, _ shard: ShardRecord, of node: NodeID, _ config: CollectionConfig?
    ) -> (count: Int, reason: String) {
        // Without a replica that is not in sync nothing is lost.
        guard shard.isInSync(node), let config else { return (1, "the shard needs") }
        let wanted = operation.value.parent == nil ? 0 : min(config.replicationFactor, shard.replicas.count - 1)
        return wanted > config.writeConsistencyFactor
            ? (wanted, "the collection asks for") : (config.writeConsistencyFactor, "writes need")
    }

    /// For as long as it takes where one catches up, for a while where its node is not alive.
    private mutating func waitForHeirs(
        _ operation: Stored<OperationRecord>, _ shard: ShardRecord, of node: NodeID, _ obstacle: String
    ) {
        let isOneComing = shard.replicas.contains {
            $0.node != node && $0.state == .catchingUp && state.isLive($0.node)
        }
        if isOneComing && state.isLive(shard.primary) { return note(operation, "waits: \(obstacle)") }
        guard isOutOfPatience(operation) else { return noteBlocked(operation, "waits: \(obstacle)") }
        fail(operation, "for \(Int(options.deadNodePatienceSeconds)) seconds \(obstacle)")
    }
}

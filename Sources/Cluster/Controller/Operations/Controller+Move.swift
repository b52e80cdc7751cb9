import DataModel

/// A move: the target gets a replica and catches up, takes the primary's role over if the source has it, and then the
/// source gives its replica up.
extension Controller {
    mutating func advanceMove(
        _ operation: Stored<OperationRecord>, from source: NodeID, to target: NodeID, _ slots: inout TransferSlots
    ) {
        guard let id = operation.value.kind.shard else { return }
        switch operation.value.state {
        case .planned:
            guard let shard = existingShard(id, of: operation) else { return }
            if shard.value.replica(on: source) == nil {
                return fail(operation, "node \(source) has no replica of the shard")
            }
            addReplica(operation, shard, on: target, &slots)
        case .running:
            guard let shard = existingShard(id, of: operation) else { return }
            continueMove(operation, shard, from: source, to: target)
        case .cancelling:
            undoMove(operation, id, from: source, to: target)
        case .done, .failed, .cancelled:
            return
        }
    }

    /// Begins an operation that gives a node a replica of the shard, when it can be and its turn has come.
    mutating func addReplica(
        _ operation: Stored<OperationRecord>, _ shard: Stored<ShardRecord>, on target: NodeID,
        _ slots: inout TransferSlots
    ) {
        if state.nodes[target] == nil { return fail(operation, "node \(target) is unknown") }
        if shard.value.replica(on: target) != nil {
            return fail(operation, "node \(target) has a replica of the shard already")
        }
        if state.isDraining(target) { return fail(operation, "node \(target) is being drained") }
        if let missing = [target, shard.value.primary].first(where: { !state.isLive($0) }) {
            return wait(for: missing, operation)
        }
        if let obstacle = slots.obstacle(to: shard.value, target: target) { return noteObstacle(operation, obstacle) }
        slots.take(shard.value, target: target)
        replace(
            shard, with: shard.value.adding(target),
            summary: "operation \(operation.value.id): node \(target) gets a replica of shard \(shard.value.id)",
            operation, becomes: .running, detail: Self.copying(to: target))
    }

    static func copying(to node: NodeID) -> String { "copying to node \(node)" }

    private mutating func continueMove(
        _ operation: Stored<OperationRecord>, _ shard: Stored<ShardRecord>, from source: NodeID, to target: NodeID
    ) {
        guard let copy = shard.value.replica(on: target) else {
            return fail(operation, "node \(target) lost its replica of the shard")
        }
        if copy.state == .catchingUp { return followCopy(operation, shard, to: target) }
        let moved = "moved to node \(target)"
        guard shard.value.replica(on: source) != nil else { return finish(operation, as: .done, moved) }
        giveReplicaUp(operation, shard, on: source, to: target, becomes: .done, detail: moved)
    }

    /// Takes a replica out of the map as an operation's last step, as soon as it is not the primary's and an in-sync one
    /// lives elsewhere.
    ///
    /// - Parameter heir: takes the primary's role over from that replica.
    mutating func giveReplicaUp(
        _ operation: Stored<OperationRecord>, _ shard: Stored<ShardRecord>, on node: NodeID, to heir: NodeID?,
        becomes end: OperationRecord.State, detail: String
    ) {
        if shard.value.primary == node {
            // When the primary is dead, failover passes the role on.
            guard let heir else {
                return note(operation, "waits: node \(node) is the only one that is in sync and alive")
            }
            return handOver(operation, shard, to: heir)
        }
        let remaining = shard.value.removing(node)
        if !remaining.inSync.contains(where: { state.isLive($0) }) {
            return note(operation, "waits: no other in-sync replica is alive")
        }
        replace(
            shard, with: remaining,
            summary: "operation \(operation.value.id): node \(node) gives its replica of shard \(shard.value.id) up",
            operation, becomes: end, detail: detail)
    }

    private mutating func undoMove(
        _ operation: Stored<OperationRecord>, _ id: ShardID, from source: NodeID, to target: NodeID
    ) {
        // When the source has given its replica up, the move is as good as done.
        guard state.shard(id)?.value.replica(on: source) != nil else {
            return finish(operation, as: .cancelled, "cancelled")
        }
        undoReplica(operation, id, on: target, preferring: source)
    }

    /// Takes the replica that an operation has added away again.
    mutating func undoReplica(
        _ operation: Stored<OperationRecord>, _ id: ShardID, on target: NodeID, preferring heir: NodeID?
    ) {
        // Not yet begun, or begun and given up: nothing is to be undone.
        guard operation.value.hasStarted, let shard = state.shard(id), let copy = shard.value.replica(on: target),
            !isDeleting(id.collection)
        else { return finish(operation, as: .cancelled, "cancelled") }
        if copy.state == .catchingUp {
            return replace(
                shard, with: shard.value.removing(target),
                summary: "operation \(operation.value.id) was cancelled: node \(target) gives its replica up",
                operation, becomes: .cancelled, detail: "cancelled")
        }
        let others = shard.value.inSync.filter { $0 != target && state.isLive($0) }
        if others.isEmpty {
            let obstacle = "no other replica is in sync and alive"
            guard isOutOfPatience(operation) else { return noteBlocked(operation, "waits: \(obstacle)") }
            return finish(operation, as: .cancelled, "cancelled; node \(target) keeps its replica: \(obstacle)")
        }
        giveReplicaUp(
            operation, shard, on: target, to: others.first { $0 == heir } ?? others.first, becomes: .cancelled,
            detail: "cancelled")
    }
}

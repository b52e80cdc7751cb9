import DataModel

/// A replication: a node gets a replica of the shard beside those that there are, and catches up.
extension Controller {
    mutating func advanceReplicate(
        _ operation: Stored<OperationRecord>, to target: NodeID, _ slots: inout TransferSlots
    ) {
        guard let id = operation.value.kind.shard else { return }
        switch operation.value.state {
        case .planned:
            guard let shard = existingShard(id, of: operation) else { return }
            addReplica(operation, shard, on: target, &slots)
        case .running:
            guard let shard = existingShard(id, of: operation) else { return }
            guard let copy = shard.value.replica(on: target) else {
                return fail(operation, "node \(target) lost its replica of the shard")
            }
            switch copy.state {
            case .inSync: finish(operation, as: .done, "node \(target) has a replica")
            case .catchingUp: followCopy(operation, shard, to: target)
            }
        case .cancelling:
            undoReplica(operation, id, on: target, preferring: nil)
        case .done, .failed, .cancelled:
            return
        }
    }
}

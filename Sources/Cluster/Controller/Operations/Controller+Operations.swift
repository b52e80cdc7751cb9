import DataModel

extension Controller {
    /// Takes each operation one step on.
    mutating func advanceOperations() {
        forgetOldOperations()
        let open = state.openOperations
        var slots = TransferSlots(open, in: state, perNode: options.transfersPerNode)
        for operation in open {
            if let shard = operation.value.kind.shard, touched.contains(shard) { continue }
            switch operation.value.kind {
            case .move(_, _, let from, let to):
                advanceMove(operation, from: from, to: to, &slots)
            case .replicate(_, _, let to): advanceReplicate(operation, to: to, &slots)
            case .dropReplica(_, _, let from): advanceDropReplica(operation, from: from, &slots)
            case .setReplicationFactor, .drain, .remove, .rebalance: advancePlan(operation)
            case .reshard(let plan): advanceReshard(operation, plan, &slots)
            }
        }
    }

    private mutating func forgetOldOperations() {
        for id in state.operations.keys.sorted() {
            guard let operation = state.operations[id], operation.value.state.isFinal,
                now - operation.value.createdAt > options.operationRetentionSeconds
            else { continue }
            // Its steps are what an operation knows of its progress.
            if let parent = operation.value.parent.flatMap({ state.operations[$0] }), !parent.value.state.isFinal {
                continue
            }
            // Of shards that it was filling too, when their collection was deleted.
            let progress = [id] + state.progress.keys.filter { $0.hasPrefix(id + "/") }.sorted()
            act(
                "operation \(id): over for long",
                guards: [ControlGuard(key: ControlKey.operation(id), expected: operation.revision)],
                mutations: ([ControlKey.operation(id)] + progress.map { ControlKey.progress($0) })
                    .map { .delete(key: $0) })
        }
    }
}

import DataModel

/// Which shards have an operation under way, and how many replicas each node sends and receives for one: more than a
/// node takes part in at a time would only all be slow.
struct TransferSlots {
    private let perNode: Int
    private var shards: Set<ShardID> = []
    private var sending: [NodeID: Int] = [:]
    private var receiving: [NodeID: Int] = [:]

    /// Counts what the operations that have begun take up.
    init(_ open: [Stored<OperationRecord>], in state: ClusterState, perNode: Int) {
        self.perNode = perNode
        for operation in open where operation.value.state != .planned {
            shards.formUnion(operation.value.kind.shards)
            guard let id = operation.value.kind.shard else { continue }
            guard let shard = state.shard(id)?.value, let target = operation.value.kind.target,
                shard.replica(on: target)?.state == .catchingUp
            else { continue }
            sending[shard.primary, default: 0] += 1
            receiving[target, default: 0] += 1
        }
    }

    /// Why an operation on the shard has to wait; nil when it may begin.
    func obstacle(to change: ShardRecord, target: NodeID? = nil) -> String? {
        if shards.contains(change.id) { return "waits for another operation on the shard" }
        guard let target else { return nil }
        if receiving[target, default: 0] >= perNode {
            return "waits for the transfer to node \(target) that is running"
        }
        if sending[change.primary, default: 0] >= perNode {
            return "waits for the transfer from node \(change.primary) that is running"
        }
        return nil
    }

    /// The same for an operation that replaces shards by others.
    func obstacle(to replaced: [ShardID]) -> String? {
        shards.isDisjoint(with: replaced) ? nil : "waits for another operation on its shards"
    }

    mutating func take(_ replaced: [ShardID]) { shards.formUnion(replaced) }

    /// Counts an operation that begins now.
    mutating func take(_ shard: ShardRecord, target: NodeID? = nil) {
        shards.insert(shard.id)
        guard let target else { return }
        sending[shard.primary, default: 0] += 1
        receiving[target, default: 0] += 1
    }
}

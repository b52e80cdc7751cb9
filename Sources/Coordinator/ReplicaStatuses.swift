import Cluster
import DataModel

/// What the replicas say of themselves, each asked once with a short patience.
struct ReplicaStatuses: Sendable {
    /// A replica that does not answer in this time counts as silent: tables shall appear at once.
    static let patience: Duration = .seconds(1)

    private struct Answer: Sendable {
        let shard: ShardID
        let node: NodeID
        let status: ReplicaStatus?
    }

    private var answers: [ShardID: [NodeID: ReplicaStatus]] = [:]

    subscript(shard: ShardID, node: NodeID) -> ReplicaStatus? { answers[shard]?[node] }

    /// The status that counts points best: the primary's, else that of the in-sync replica with the most.
    func best(of shard: ShardRecord) -> ReplicaStatus? {
        let sound = { (node: NodeID) in self[shard.id, node].flatMap { $0.damage == nil ? $0 : nil } }
        return sound(shard.primary) ?? shard.inSync.compactMap(sound).max { $0.position < $1.position }
    }

    static func ask(
        _ shards: [ShardRecord], live: Set<NodeID>, router: any ShardRouter, deadline: Deadline
    ) async -> ReplicaStatuses {
        let deadline = min(deadline, .after(patience))
        return await withTaskGroup(of: Answer.self) { group in
            for shard in shards {
                for replica in shard.replicas where live.contains(replica.node) {
                    group.addTask {
                        let service = router.service(for: shard.id, on: replica.node)
                        let status = try? await service.status(deadline: deadline)
                        return Answer(shard: shard.id, node: replica.node, status: status)
                    }
                }
            }
            var statuses = ReplicaStatuses()
            for await answer in group {
                statuses.answers[answer.shard, default: [:]][answer.node] = answer.status
            }
            return statuses
        }
    }
}

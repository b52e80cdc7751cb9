import Cluster
import DataModel

/// What the replicas say of themselves, each asked once with a short patience.
struct ReplicaStatuses: Sendable {
    /// A replica that does not answer in this time counts as silent: tables shall appear at once.
    static let patience: Duration = .seconds(1)

    private struct Answer: Sendable {
        let shard: ShardID
        let node: NodeID
        var status: ReplicaStatus?
        var failure: ShardError?
    }

    private var answers: [ShardID: [NodeID: Answer]] = [:]

    subscript(shard: ShardID, node: NodeID) -> ReplicaStatus? { answers[shard]?[node]?.status }

    /// Why a replica that was asked has no status; nil also when it was not asked.
    func failure(_ shard: ShardID, _ node: NodeID) -> ShardError? { answers[shard]?[node]?.failure }

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
                        var answer = Answer(shard: shard.id, node: replica.node)
                        do throws(ShardError) {
                            answer.status = try await service.status(deadline: deadline)
                        } catch {
                            answer.failure = error
                        }
                        return answer
                    }
                }
            }
            var statuses = ReplicaStatuses()
            for await answer in group {
                statuses.answers[answer.shard, default: [:]][answer.node] = answer
            }
            return statuses
        }
    }
}

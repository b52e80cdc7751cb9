package import Cluster
package import DataModel

/// The replicas of a shard that a read may ask by the present state, and what is told when they are too few. Pure.
package struct ReadCandidates: Sendable {
    /// Unordered, but for a stale read: there the ones worth asking come first.
    package let groups: [[NodeID]]
    /// Answers that make the read whole.
    package let needed: Int
    /// Replicas that are asked at once.
    package let asked: Int
    private let explanation: String

    /// - Parameters:
    ///   - copies: the collection's replication factor.
    ///   - only: the node whose replica alone may answer; nil for any.
    package init(
        of shard: ShardRecord, in state: ClusterState, consistency: ReadConsistency, copies: Int, localNode: NodeID,
        only: NodeID?
    ) {
        let inSync = shard.inSync.filter { state.isLive($0) && (only == nil || only == $0) }
        if consistency == .stale {
            // This node may be cut off from all others, and then only its own replica answers at once.
            let all = shard.replicas.map(\.node).filter { only == nil || only == $0 }
            let others = all.filter { $0 != localNode && !inSync.contains($0) }
            groups = [
                all.filter { $0 == localNode }, inSync.filter { $0 != localNode }, others.filter { state.isLive($0) },
                others.filter { !state.isLive($0) },
            ]
            (needed, asked) = (1, 1)
        } else {
            let copies = min(copies, shard.replicas.count)
            groups = [inSync]
            needed = consistency.needed(copies: copies)
            asked = consistency.asked(copies: copies, available: inSync.count)
        }
        explanation = Self.explain(shard, state)
    }

    package var count: Int { groups.reduce(0) { $0 + $1.count } }

    /// Why there is no answer, when there are fewer replicas than are needed; nil when there are enough.
    package var lack: String? {
        guard count < needed else { return nil }
        if needed == 1 { return "no in-sync replica is alive (\(explanation))" }
        return "the read consistency needs \(needed) in-sync replicas, and \(count) are alive (\(explanation))"
    }

    private static func explain(_ shard: ShardRecord, _ state: ClusterState) -> String {
        shard.replicas.map { replica in
            let health = !state.isLive(replica.node) ? "down" : replica.state == .inSync ? "in sync" : "catching up"
            return "node \(replica.node): \(health)"
        }.joined(separator: ", ")
    }
}

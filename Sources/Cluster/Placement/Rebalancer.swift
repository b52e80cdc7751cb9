package import DataModel

/// What a replica weighs.
package struct ReplicaLoad: Sendable, Equatable {
    package var points: UInt64
    package var bytes: UInt64

    package init(points: UInt64, bytes: UInt64) {
        self.points = points
        self.bytes = bytes
    }
}

/// A move that would make the cluster more even.
package struct PlannedMove: Sendable, Equatable {
    package var collection: String
    package var shard: ShardID
    package var from: NodeID
    package var to: NodeID
    package var bytes: UInt64
    package var reason: String
}

/// What the planner looked at, and what it would do, in order.
package struct MovePlan: Sendable, Equatable {
    package struct NodeLoad: Sendable, Equatable {
        package var node: NodeID
        package var replicas: Int
        package var points: UInt64
        package var bytes: UInt64
    }

    /// The live nodes as they are now, in order.
    package var loads: [NodeLoad]
    package var moves: [PlannedMove]
}

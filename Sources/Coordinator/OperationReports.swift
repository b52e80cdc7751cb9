package import DataModel

/// Which replica to move where: the body of `POST /shoal/move`.
package struct MoveRequest: Sendable, Codable, Equatable {
    package var collection: String
    package var shard: ShardNumber
    package var from: NodeID
    package var to: NodeID
    /// The most that the transfer sends; nil for what the nodes are set to.
    package var maxBytesPerSecond: UInt64?

    package init(
        collection: String, shard: ShardNumber, from: NodeID, to: NodeID, maxBytesPerSecond: UInt64? = nil
    ) {
        self.collection = collection
        self.shard = shard
        self.from = from
        self.to = to
        self.maxBytesPerSecond = maxBytesPerSecond
    }
}

/// A durable operation of the cluster and how far it is.
package struct OperationStatus: Sendable, Codable, Equatable {
    package enum State: String, Sendable, Codable {
        case planned, running, done, failed, cancelled
    }

    package var id: String
    /// `move`, `drain` and so on: the word of the command that asks for one.
    package var kind: String
    /// What it works on, for people: `words/0 node 1 -> 3`.
    package var subject: String
    /// What it works on, for programs; each is nil when the kind has none.
    package var collection: String?
    package var shard: ShardNumber?
    package var from: NodeID?
    package var to: NodeID?
    /// The operation that planned this one as a step of its own.
    package var parent: String?
    package var state: State
    /// What the operation does now, or why it failed.
    package var detail: String
    /// Why the operation was planned.
    package var reason: String
    /// Of an operation that plans steps, those of the steps together.
    package var bytesDone: UInt64
    package var bytesTotal: UInt64
    /// Of the steps that are planned; 0 of 0 for an operation that has none.
    package var stepsDone: Int
    package var stepsTotal: Int
    /// Seconds since 1970.
    package var createdAt: Double

    package init(
        id: String, kind: String, subject: String, collection: String? = nil, shard: ShardNumber? = nil,
        from: NodeID? = nil, to: NodeID? = nil, parent: String? = nil, state: State, detail: String, reason: String,
        bytesDone: UInt64, bytesTotal: UInt64, stepsDone: Int = 0, stepsTotal: Int = 0, createdAt: Double
    ) {
        self.id = id
        self.kind = kind
        self.subject = subject
        self.collection = collection
        self.shard = shard
        self.from = from
        self.to = to
        self.parent = parent
        self.state = state
        self.detail = detail
        self.reason = reason
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
        self.stepsDone = stepsDone
        self.stepsTotal = stepsTotal
        self.createdAt = createdAt
    }
}

/// The steps that an operation would take, and what the planner looked at.
package struct OperationPlan: Sendable, Codable, Equatable {
    package struct Step: Sendable, Codable, Equatable {
        /// `move`, `replicate` or `drop-replica`.
        package var kind: String
        package var collection: String
        package var shard: ShardNumber
        /// The node that gives a replica up, if one does.
        package var from: NodeID?
        /// The node that gets a replica, if one does.
        package var to: NodeID?
        /// To be sent; an estimate.
        package var bytes: UInt64
        package var reason: String

        package init(
            kind: String, collection: String, shard: ShardNumber, from: NodeID? = nil, to: NodeID? = nil, bytes: UInt64,
            reason: String
        ) {
            self.kind = kind
            self.collection = collection
            self.shard = shard
            self.from = from
            self.to = to
            self.bytes = bytes
            self.reason = reason
        }
    }

    package struct NodeLoad: Sendable, Codable, Equatable {
        package var node: NodeID
        package var zone: String?
        package var replicas: Int
        package var points: UInt64
        package var bytes: UInt64
        /// Microseconds of searching in a second, over the last minute.
        package var searchMicroseconds: UInt64

        package init(
            node: NodeID, zone: String? = nil, replicas: Int, points: UInt64, bytes: UInt64,
            searchMicroseconds: UInt64 = 0
        ) {
            self.node = node
            self.zone = zone
            self.replicas = replicas
            self.points = points
            self.bytes = bytes
            self.searchMicroseconds = searchMicroseconds
        }
    }

    /// Of the nodes that are alive; empty for what changes a single shard.
    package var loads: [NodeLoad]
    package var steps: [Step]

    package init(loads: [NodeLoad], steps: [Step]) {
        self.loads = loads
        self.steps = steps
    }
}

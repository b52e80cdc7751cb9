package import DataModel

/// A collection with what its replicas say of themselves.
package struct CollectionInfo: Sendable {
    package enum Health: String, Sendable, Codable {
        /// Every shard serves, every replica is in sync, the graphs hold every row.
        case green
        /// Every shard serves; rows are still being indexed or a replica is catching up.
        case yellow
        /// A shard has no replica that can serve.
        case red
    }

    package var name: String
    package var id: CollectionID
    package var config: CollectionConfig
    package var health: Health
    package var points: UInt64
    package var indexedVectors: UInt64
    /// As far as the replicas that count points say: progress that of the slowest, points those of all shards.
    package var payloadIndexes: [PayloadIndexStatus]

    package init(
        name: String, id: CollectionID, config: CollectionConfig, health: Health, points: UInt64, indexedVectors: UInt64,
        payloadIndexes: [PayloadIndexStatus] = []
    ) {
        self.name = name
        self.id = id
        self.config = config
        self.health = health
        self.points = points
        self.indexedVectors = indexedVectors
        self.payloadIndexes = payloadIndexes
    }
}

/// The cluster as the answering node sees it.
package struct ClusterStatus: Sendable, Codable, Equatable {
    package struct Node: Sendable, Codable, Equatable {
        package var id: NodeID
        package var httpAddress: String
        package var rpcAddress: String
        /// Whether the node holds its lease.
        package var alive: Bool
        package var isController: Bool
        package var replicas: Int
        package var primaries: Int

        package init(
            id: NodeID, httpAddress: String, rpcAddress: String, alive: Bool, isController: Bool, replicas: Int,
            primaries: Int
        ) {
            self.id = id
            self.httpAddress = httpAddress
            self.rpcAddress = rpcAddress
            self.alive = alive
            self.isController = isController
            self.replicas = replicas
            self.primaries = primaries
        }
    }

    package struct Collection: Sendable, Codable, Equatable {
        package var name: String
        package var id: CollectionID
        package var physicalShards: Int
        package var virtualShards: Int
        package var replicationFactor: Int
        package var health: CollectionInfo.Health

        package init(
            name: String, id: CollectionID, physicalShards: Int, virtualShards: Int, replicationFactor: Int,
            health: CollectionInfo.Health
        ) {
            self.name = name
            self.id = id
            self.physicalShards = physicalShards
            self.virtualShards = virtualShards
            self.replicationFactor = replicationFactor
            self.health = health
        }
    }

    package var clusterID: String
    package var answeredBy: NodeID
    package var nodes: [Node]
    package var collections: [Collection]
    package var operations: [OperationStatus]

    package init(
        clusterID: String, answeredBy: NodeID, nodes: [Node], collections: [Collection], operations: [OperationStatus]
    ) {
        self.clusterID = clusterID
        self.answeredBy = answeredBy
        self.nodes = nodes
        self.collections = collections
        self.operations = operations
    }
}

/// The physical shards of a collection.
package struct ShardTable: Sendable, Codable, Equatable {
    package enum ReplicaState: String, Sendable, Codable {
        case inSync
        case catchingUp
        /// The node does not hold its lease.
        case unreachable
        /// What is on its disk is not what was written: it serves nothing.
        case damaged
    }

    package struct Replica: Sendable, Codable, Equatable {
        package var node: NodeID
        package var state: ReplicaState
        package var isPrimary: Bool
        /// Nil when the replica did not answer.
        package var points: UInt64?
        package var unindexedRows: UInt64?
        package var bytes: UInt64?
        package var sequence: SequenceNumber?
        package var deadRows: UInt64?
        /// The compaction that is under way, in words.
        package var compaction: String?
        /// What is wrong with a damaged one.
        package var damage: String?

        package init(
            node: NodeID, state: ReplicaState, isPrimary: Bool, points: UInt64? = nil, unindexedRows: UInt64? = nil,
            bytes: UInt64? = nil, sequence: SequenceNumber? = nil, deadRows: UInt64? = nil, compaction: String? = nil,
            damage: String? = nil
        ) {
            self.node = node
            self.state = state
            self.isPrimary = isPrimary
            self.points = points
            self.unindexedRows = unindexedRows
            self.bytes = bytes
            self.sequence = sequence
            self.deadRows = deadRows
            self.compaction = compaction
            self.damage = damage
        }
    }

    package struct Shard: Sendable, Codable, Equatable {
        package var number: ShardNumber
        package var virtualShards: [VirtualShardRange]
        package var epoch: Epoch
        package var replicas: [Replica]

        package init(number: ShardNumber, virtualShards: [VirtualShardRange], epoch: Epoch, replicas: [Replica]) {
            self.number = number
            self.virtualShards = virtualShards
            self.epoch = epoch
            self.replicas = replicas
        }
    }

    package var collection: String
    package var collectionID: CollectionID
    package var shards: [Shard]

    package init(collection: String, collectionID: CollectionID, shards: [Shard]) {
        self.collection = collection
        self.collectionID = collectionID
        self.shards = shards
    }
}

/// Which replica to move where.
package struct MoveRequest: Sendable, Codable, Equatable {
    package var collection: String
    package var shard: ShardNumber
    package var from: NodeID
    package var to: NodeID

    package init(collection: String, shard: ShardNumber, from: NodeID, to: NodeID) {
        self.collection = collection
        self.shard = shard
        self.from = from
        self.to = to
    }
}

/// A durable operation of the cluster and how far it is.
package struct OperationStatus: Sendable, Codable, Equatable {
    package enum State: String, Sendable, Codable {
        case planned, running, done, failed, cancelled
    }

    package var id: String
    /// `move`.
    package var kind: String
    package var request: MoveRequest
    package var state: State
    /// What the operation does now, or why it failed.
    package var detail: String
    /// Why the operation was planned.
    package var reason: String
    package var bytesDone: UInt64
    package var bytesTotal: UInt64
    /// Seconds since 1970.
    package var createdAt: Double

    package init(
        id: String, kind: String, request: MoveRequest, state: State, detail: String, reason: String, bytesDone: UInt64,
        bytesTotal: UInt64, createdAt: Double
    ) {
        self.id = id
        self.kind = kind
        self.request = request
        self.state = state
        self.detail = detail
        self.reason = reason
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
        self.createdAt = createdAt
    }
}

/// The moves that would balance the cluster, and what the planner looked at.
package struct RebalancePlan: Sendable, Codable, Equatable {
    package struct Step: Sendable, Codable, Equatable {
        package var move: MoveRequest
        package var bytes: UInt64
        package var reason: String

        package init(move: MoveRequest, bytes: UInt64, reason: String) {
            self.move = move
            self.bytes = bytes
            self.reason = reason
        }
    }

    package struct NodeLoad: Sendable, Codable, Equatable {
        package var node: NodeID
        package var replicas: Int
        package var points: UInt64
        package var bytes: UInt64

        package init(node: NodeID, replicas: Int, points: UInt64, bytes: UInt64) {
            self.node = node
            self.replicas = replicas
            self.points = points
            self.bytes = bytes
        }
    }

    package var loads: [NodeLoad]
    package var steps: [Step]

    package init(loads: [NodeLoad], steps: [Step]) {
        self.loads = loads
        self.steps = steps
    }
}

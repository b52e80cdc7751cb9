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
        package var zone: String?
        /// Whether it shall hold nothing, and gets no replicas.
        package var draining: Bool

        package init(
            id: NodeID, httpAddress: String, rpcAddress: String, alive: Bool, isController: Bool, replicas: Int,
            primaries: Int, zone: String? = nil, draining: Bool = false
        ) {
            self.id = id
            self.httpAddress = httpAddress
            self.rpcAddress = rpcAddress
            self.alive = alive
            self.isController = isController
            self.replicas = replicas
            self.primaries = primaries
            self.zone = zone
            self.draining = draining
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
        /// Whether it is still being filled by a split or merge, and answers nobody.
        package var isFilling: Bool

        package init(
            number: ShardNumber, virtualShards: [VirtualShardRange], epoch: Epoch, replicas: [Replica],
            isFilling: Bool = false
        ) {
            self.isFilling = isFilling
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

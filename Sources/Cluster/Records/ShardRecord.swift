package import DataModel

/// One replica of a physical shard, as the map knows it.
package struct ReplicaRecord: Sendable, Codable, Equatable {
    package enum State: String, Sendable, Codable {
        /// Holds every acknowledged write.
        case inSync
        case catchingUp
    }

    package var node: NodeID
    package var state: State

    package init(node: NodeID, state: State) {
        self.node = node
        self.state = state
    }
}

/// `shards/<collectionID>/<number>`: what a physical shard owns and where its replicas are.
package struct ShardRecord: ControlRecord {
    package var id: ShardID
    package var virtualShards: [VirtualShardRange]
    /// Invariant: nodes are distinct; at least one replica is in sync.
    package var replicas: [ReplicaRecord]
    /// Invariant: one of the in-sync replicas.
    package var primary: NodeID
    /// Grows with each change of the primary or the in-sync set.
    package var epoch: Epoch
    /// The in-sync replica that the primary shall pass its role to.
    package var handover: NodeID?
    /// While a split or merge fills the shard from others: it answers nobody yet, and points belong to it in no map.
    package var filling: Filling?

    /// Who fills a shard. What one process has begun no other goes on with: a new attempt has another number.
    package struct Filling: Sendable, Codable, Equatable {
        package var operation: String
        /// Of the primary's process.
        package var incarnation: UInt64

        package init(operation: String, incarnation: UInt64) {
            self.operation = operation
            self.incarnation = incarnation
        }
    }

    package init(
        id: ShardID, virtualShards: [VirtualShardRange], replicas: [ReplicaRecord], primary: NodeID,
        epoch: Epoch = Epoch(1), handover: NodeID? = nil, filling: Filling? = nil
    ) {
        self.id = id
        self.virtualShards = virtualShards
        self.replicas = replicas
        self.primary = primary
        self.epoch = epoch
        self.handover = handover
        self.filling = filling
    }

    package var inSync: [NodeID] { replicas.filter { $0.state == .inSync }.map(\.node) }

    package func replica(on node: NodeID) -> ReplicaRecord? { replicas.first { $0.node == node } }

    package func isInSync(_ node: NodeID) -> Bool { replica(on: node)?.state == .inSync }

    /// What is wrong with the record; nil when its invariants hold.
    package var violation: String? {
        if Set(replicas.map(\.node)).count != replicas.count { return "two replicas are on one node" }
        if inSync.isEmpty { return "the in-sync set is empty" }
        if !isInSync(primary) { return "primary \(primary) is not in sync" }
        if let handover, !isInSync(handover) { return "the handover's target \(handover) is not in sync" }
        return nil
    }
}

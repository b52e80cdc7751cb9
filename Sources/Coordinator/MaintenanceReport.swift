package import DataModel

/// Which replicas are to maintain themselves, and how.
package struct MaintenanceRequest: Sendable, Codable, Equatable {
    package var task: MaintenanceTask
    /// Nil: every one.
    package var collection: String?
    /// Nil: every shard's.
    package var shard: ShardNumber?
    /// Nil: every node's.
    package var node: NodeID?

    package init(task: MaintenanceTask, collection: String? = nil, shard: ShardNumber? = nil, node: NodeID? = nil) {
        self.task = task
        self.collection = collection
        self.shard = shard
        self.node = node
    }
}

/// What came of it on one replica.
package struct MaintenanceReport: Sendable, Codable, Equatable {
    package var collection: String
    package var shard: ShardNumber
    package var node: NodeID
    package var summary: String
    /// Everything that is wrong, by name.
    package var findings: [String]
    /// Why the replica did nothing.
    package var error: String?

    package init(
        collection: String, shard: ShardNumber, node: NodeID, summary: String = "", findings: [String] = [], error: String? = nil
    ) {
        self.collection = collection
        self.shard = shard
        self.node = node
        self.summary = summary
        self.findings = findings
        self.error = error
    }
}

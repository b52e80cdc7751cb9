package import DataModel

/// Who a node is. Both sides of a connection check the other's.
package struct NodeIdentity: Sendable, Equatable {
    /// The cluster's unique id: nodes of two clusters must never talk, even when an address was given away.
    package var cluster: String
    package var node: NodeID

    package init(cluster: String, node: NodeID) {
        self.cluster = cluster
        self.node = node
    }
}

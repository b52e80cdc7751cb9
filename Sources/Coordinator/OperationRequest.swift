package import DataModel

/// What an operator may ask the cluster to do with its replicas.
package enum OperationRequest: Sendable, Equatable {
    case move(collection: String, shard: ShardNumber, from: NodeID, to: NodeID)
    /// Adds a replica on `to`.
    case replicate(collection: String, shard: ShardNumber, to: NodeID)
    /// Takes the replica on `from` away.
    case dropReplica(collection: String, shard: ShardNumber, from: NodeID)
    /// Adds and drops replicas until each shard of the collection has `factor`.
    case setReplicationFactor(collection: String, factor: Int)
    /// Takes all replicas away from the node, and keeps them away.
    case drain(NodeID)
    /// Takes all replicas away from the node, which may be dead, and forgets it.
    case remove(NodeID)
    /// Evens numbers of replicas and then bytes out, or what `by` says.
    case rebalance(by: BalanceMeasure?)
}

extension OperationRequest {
    package init(_ move: MoveRequest) {
        self = .move(collection: move.collection, shard: move.shard, from: move.from, to: move.to)
    }
}

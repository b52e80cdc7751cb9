package import DataModel

/// What a node offers to its peers.
package protocol ReplicaHost: Sendable {
    /// The replica of a shard, for coordinators.
    ///
    /// - Throws: `notHosted` when the node has none, `notServing` when it cannot be used now.
    func shard(_ id: ShardID) async throws(ShardError) -> any ShardService

    /// The replica of a shard, for its primary. The shard may have been given to this node a moment ago.
    ///
    /// - Throws: `notHosted` when the node has none, `notServing` when it cannot be used now.
    func replica(_ id: ShardID) async throws(ShardError) -> any ReplicaService
}

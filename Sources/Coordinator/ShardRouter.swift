package import DataModel

/// Where the coordinator gets the replicas from: local ones, remote ones over RPC, or simulated ones in tests.
package protocol ShardRouter: Sendable {
    /// The replica of `shard` on `node`, or a stand-in whose calls throw: choosing one never fails and never waits.
    func service(for shard: ShardID, on node: NodeID) -> any ShardService

    /// The same replica as the one to be filled with files when a collection is recovered from a snapshot.
    func replica(of shard: ShardID, on node: NodeID) -> any ReplicaService
}

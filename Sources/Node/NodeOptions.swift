package import Cluster
package import DataModel
import Foundation
package import Shard

/// What a node is told at its start.
package struct NodeOptions: Sendable {
    package var id: NodeID
    /// This node's own folder. Made when it is missing; refused when it is another node's or another cluster's.
    package var dataFolder: String
    /// For snapshots, of this node alone; nil for `snapshots` in the data folder.
    package var snapshotsFolder: String?
    /// Where `file://` locations of snapshots may lead beside the node's own folder of them; nil for nowhere.
    package var importFolder: String?
    /// `host:port` as clients reach it; shown by the cluster's status.
    package var httpAddress: String
    /// Bound, and told to the other nodes.
    package var rpcHost: String
    /// 0: the system chooses.
    package var rpcPort: Int
    /// What fails together with this node; nil when it is told from no other.
    package var zone: String?
    /// For how long the node counts as alive after its last sign of life, when its process does not end.
    package var leaseTTL: Duration
    package var replication: ReplicationOptions
    /// How often a primary compares the points that its backups have with its own.
    package var comparisonInterval = Duration.seconds(600)
    /// The most that a snapshot for another replica sends in a second, unless its operation says otherwise.
    package var maximumTransferBytesPerSecond: UInt64?
    /// Replicas that a node sends at a time for operations, and that it receives.
    package var transfersPerNode = 1
    /// For how long a cluster has to be uneven before it is rebalanced by itself; nil for never.
    package var automaticRebalanceAfter: Duration?
    /// How many reads in all may be sent to a second replica when the first is slow: 0...1.
    package var hedgeShare = 0.1
    package var shard: ShardOptions
    package var searchThreads: Int
    package var indexingThreads: Int

    package init(
        id: NodeID, dataFolder: String, httpAddress: String, rpcHost: String, rpcPort: Int,
        leaseTTL: Duration = .seconds(3), replication: ReplicationOptions = ReplicationOptions(),
        shard: ShardOptions = ShardOptions(),
        searchThreads: Int = ProcessInfo.processInfo.activeProcessorCount,
        indexingThreads: Int = ProcessInfo.processInfo.activeProcessorCount
    ) {
        self.id = id
        self.dataFolder = dataFolder
        self.httpAddress = httpAddress
        self.rpcHost = rpcHost
        self.rpcPort = rpcPort
        self.leaseTTL = leaseTTL
        self.replication = replication
        self.shard = shard
        self.searchThreads = searchThreads
        self.indexingThreads = indexingThreads
    }
}

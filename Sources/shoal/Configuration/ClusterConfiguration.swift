package import Cluster
import Coordinator
package import DataModel
package import Shard

/// The settings of a `cluster.yaml`, checked, defaults filled in.
package struct ClusterConfiguration: Sendable {
    package enum LogLevel: String, Sendable, CaseIterable { case trace, debug, info, notice, warning, error, critical }

    package enum Rebalance: String, Sendable, CaseIterable { case manual, automatic }

    package enum Control: Sendable, Equatable {
        /// Files in the data folder, which the nodes of one machine share.
        case lmdb
        case etcd(EtcdOptions)
    }

    /// Tells clusters apart that share an etcd.
    package var name = "default"
    package var control = Control.lmdb
    package var nodeCount = 3
    package var replicationFactor = 2
    /// The smallest in-sync set that still takes writes.
    package var writeConsistencyFactor = 1
    /// What fails together, such as a rack, of nodes 1, 2 and so on; empty when nodes are told from no other.
    package var zones: [String] = []
    package var rebalance = Rebalance.manual
    /// For how long the cluster has to be uneven before it is rebalanced by itself.
    package var rebalanceAfter = Duration.seconds(120)
    package var virtualShards = 128
    package var physicalShards = 3
    /// The first node's; the next nodes' are `portStride` apart.
    package var httpPort = 6_333
    package var rpcPort = 6_335
    package var httpHost = "127.0.0.1"
    package var rpcHost = "127.0.0.1"
    /// What requests in flight may take on each node, see `MemoryBudget`.
    package var maximumRequestBytes = MemoryBudget.standardBytes
    /// The longest wait for the answer to a read that names none.
    package var readTimeout = Duration.seconds(30)
    /// Reads in a hundred that may be sent to a second replica when the first is slow.
    package var hedgePercent = 10
    package var storage = ShardOptions()
    /// Absolute; each node has a folder of its own in it. Nil for `snapshots` in each node's data folder.
    package var snapshotsFolder: String?
    /// Absolute: where `file://` locations of snapshots may lead beside a node's own snapshots.
    package var importFolder: String?
    /// Nil: one for each core.
    package var searchThreads: Int?
    package var indexingThreads: Int?
    package var replication = ReplicationOptions()
    /// A node that does not renew its lease for this long counts as dead. A killed process is noticed at once.
    package var leaseDuration = Duration.seconds(3)
    /// How often primaries compare their points with those of their backups.
    package var comparisonInterval = Duration.seconds(600)
    /// The most that a snapshot for another replica sends in a second; nil for no limit.
    package var maximumTransferBytesPerSecond: Int?
    /// Replicas that a node sends at a time for operations, and that it receives.
    package var transfersPerNode = 1
    package var logLevel = LogLevel.info
    package var source = Source(file: "built-in settings", lines: [:])

    /// The distance between the ports of two nodes of one machine, as operators of Qdrant know it.
    package static let portStride = 10
    /// More processes than this on one machine only share out the same cores.
    package static let nodeCounts = 1...64

    package init() {}

    /// One node, as `shoal serve` runs it without a configuration.
    package static var singleNode: ClusterConfiguration {
        var configuration = ClusterConfiguration()
        configuration.nodeCount = 1
        configuration.replicationFactor = 1
        configuration.physicalShards = 1
        return configuration
    }

    package var nodes: [Endpoints] { (1...nodeCount).map { endpoints(of: NodeID(UInt32($0))) } }

    /// Also of a node beyond `nodeCount`, which joins a running cluster.
    ///
    /// - Precondition: `id` is in `nodeCounts`.
    package func endpoints(of id: NodeID) -> Endpoints {
        precondition(Self.nodeCounts.contains(Int(id.rawValue)), "a node that the configuration can have")
        let offset = (Int(id.rawValue) - 1) * Self.portStride
        return Endpoints(
            id: id, httpHost: httpHost, httpPort: httpPort + offset, rpcHost: rpcHost, rpcPort: rpcPort + offset)
    }

    /// Nil for a node that the list does not reach.
    package func zone(of id: NodeID) -> String? {
        let index = Int(id.rawValue) - 1
        return zones.indices.contains(index) ? zones[index] : nil
    }

    /// An error about `keyPath` that names its line, or the default when the file does not set it.
    package func error(_ keyPath: String, _ reason: String) -> ConfigurationError {
        ConfigurationError(file: source.file, line: source.lines[keyPath], keyPath: keyPath, reason: reason)
    }
}

extension ClusterConfiguration {
    /// Where a configuration was read from.
    package struct Source: Sendable, Equatable {
        package var file: String
        /// The line of each key path that the file sets.
        package var lines: [String: Int]

        package init(file: String, lines: [String: Int]) {
            self.file = file
            self.lines = lines
        }
    }

    /// Where one node listens.
    package struct Endpoints: Sendable, Equatable {
        package var id: NodeID
        package var httpHost: String
        package var httpPort: Int
        package var rpcHost: String
        package var rpcPort: Int

        package var httpAddress: String { "\(Self.reachable(httpHost)):\(httpPort)" }
        package var httpURL: String { "http://\(httpAddress)" }
        package var rpcAddress: String { "\(Self.reachable(rpcHost)):\(rpcPort)" }

        /// A node that listens on every address is reached through the loopback one: its peers are on this machine.
        private static func reachable(_ host: String) -> String {
            switch host {
            case "0.0.0.0": "127.0.0.1"
            case "::": "[::1]"
            default: host.contains(":") ? "[\(host)]" : host
            }
        }
    }
}

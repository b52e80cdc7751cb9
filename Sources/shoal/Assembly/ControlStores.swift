import Cluster
import Logging

/// The control store that a configuration names.
enum ControlStores {
    /// - Throws: `ControlStoreError` when the folder or a file that the settings name cannot be opened. An etcd that
    ///   cannot be reached shows with the first use.
    static func open(
        _ configuration: ClusterConfiguration, folder: ClusterFolder, logger: Logger
    ) throws(ControlStoreError) -> any ControlStore {
        switch configuration.control {
        case .lmdb: try LMDBControlStore.open(folder: folder.control, logger: logger)
        case .etcd(let options): try EtcdControlStore(options: options, logger: logger)
        }
    }

    /// For operators.
    static func name(_ configuration: ClusterConfiguration, folder: ClusterFolder) -> String {
        switch configuration.control {
        case .lmdb: "the files in \(folder.control)"
        case .etcd(let options): "etcd at \(options.endpoints.joined(separator: ", ")), prefix \(options.prefix)"
        }
    }

    /// Keeps a node with an empty data folder from taking the place of another cluster's node, whose records are below
    /// the same prefix.
    ///
    /// - Throws: `StartError`, which says what to do; `ControlStoreError`.
    static func refuseForeignRecords(
        in store: any ControlStore, _ configuration: ClusterConfiguration, _ endpoints: ClusterConfiguration.Endpoints
    ) async throws {
        guard case .etcd(let options) = configuration.control,
            let entry = try await store.get(ControlKey.node(endpoints.id)),
            let record = NodeRecord(encoded: entry.value),
            (record.rpcHost, record.rpcPort) != (endpoints.rpcHost, endpoints.rpcPort)
        else { return }
        throw StartError(
            "below \(options.prefix) of etcd is a cluster whose node \(endpoints.id) is at "
                + "\(record.rpcHost):\(record.rpcPort), and this node \(endpoints.id), at "
                + "\(endpoints.rpcHost):\(endpoints.rpcPort), has an empty data folder. For another cluster, set "
                + "another cluster.name or control.etcd.prefix; for a node of that one that lost its data and moved, first run "
                + "`etcdctl del \(options.prefix)records/\(ControlKey.node(endpoints.id))`")
    }
}

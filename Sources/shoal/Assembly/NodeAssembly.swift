import Cluster
import Coordinator
import Foundation
import HTTPAPI
import Hummingbird
import Logging
import Metrics
import Node
import ServiceLifecycle
import Shard
import UnixSignals

/// Builds one node from its settings and runs it: the only place that sees every part.
struct NodeAssembly {
    let configuration: ClusterConfiguration
    let endpoints: ClusterConfiguration.Endpoints
    let folder: ClusterFolder
    /// What fails together with this node; nil when it is told from no other.
    let zone: String?

    /// Less than what a supervisor waits for before it kills the node.
    private static let shutdownTimeout = Supervisor.stopTimeout - .seconds(5)

    /// Returns when the node has stopped in order after SIGTERM or SIGINT.
    func run() async throws {
        let logger = bootstrapLogging()
        FileDescriptors.raiseLimit()
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)

        let store: any ControlStore
        do {
            store = try ControlStores.open(configuration, folder: folder, logger: logger)
        } catch {
            // A file that the settings name is missing, which starting again does not help.
            if case .etcd = configuration.control { throw StartError(error.description) }
            throw error
        }
        if !FileManager.default.fileExists(atPath: folder.node(endpoints.id) + "/node.json") {
            try await ControlStores.refuseForeignRecords(in: store, configuration, endpoints)
        }
        let node = Node(options: options, store: store, logger: logger)
        try await node.start()
        let memory = MemoryBudget(bytes: configuration.maximumRequestBytes)
        let application = makeApplication(
            database: node.database, snapshots: node.snapshots, defaults: defaults,
            metricsText: {
                PrometheusText.render(
                    registry,
                    process: ProcessMetrics.read(version: Shoal.version) + StorageMetrics.read(node)
                        + [ProcessMetric(memory)])
            },
            memory: memory, readTimeout: configuration.readTimeout,
            host: endpoints.httpHost, port: endpoints.httpPort, logger: logger)
        // Shut down in reverse order: no request comes in any more when the node closes its shards.
        var group = ServiceGroupConfiguration(
            services: [node, application], gracefulShutdownSignals: [.sigterm, .sigint, .sighup], logger: logger)
        group.maximumGracefulShutdownDuration = Self.shutdownTimeout
        do {
            try await ServiceGroup(configuration: group).run()
        } catch is CancellationError {
            logger.notice("requests that took too long were given up")
        }
        await node.shutdown()
        logger.notice("stopped")
    }

    private var options: NodeOptions {
        var options = NodeOptions(
            id: endpoints.id, dataFolder: folder.node(endpoints.id), httpAddress: endpoints.httpAddress,
            rpcHost: endpoints.rpcHost, rpcPort: endpoints.rpcPort)
        options.leaseTTL = configuration.leaseDuration
        options.replication = configuration.replication
        options.comparisonInterval = configuration.comparisonInterval
        options.zone = zone
        options.maximumTransferBytesPerSecond = configuration.maximumTransferBytesPerSecond.map { UInt64($0) }
        options.transfersPerNode = configuration.transfersPerNode
        options.automaticRebalanceAfter =
            configuration.rebalance == .automatic ? configuration.rebalanceAfter : nil
        options.shard = configuration.storage
        options.hedgeShare = Double(configuration.hedgePercent) / 100
        options.snapshotsFolder = configuration.snapshotsFolder.map { "\($0)/node-\(endpoints.id)" }
        options.importFolder = configuration.importFolder
        if let threads = configuration.searchThreads { options.searchThreads = threads }
        if let threads = configuration.indexingThreads { options.indexingThreads = threads }
        return options
    }

    private var defaults: CollectionDefaults {
        CollectionDefaults(
            virtualShards: configuration.virtualShards, physicalShards: configuration.physicalShards,
            replicationFactor: configuration.replicationFactor,
            writeConsistencyFactor: configuration.writeConsistencyFactor)
    }

    private func bootstrapLogging() -> Logger {
        let level = Logger.Level(rawValue: configuration.logLevel.rawValue) ?? .info
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        var logger = Logger(label: "shoal")
        logger[metadataKey: "node"] = "\(endpoints.id)"
        return logger
    }
}

extension ProcessMetric {
    fileprivate init(_ memory: MemoryBudget) {
        self.init(
            name: "shoal_request_memory_bytes", kind: .gauge, help: "Memory that is set aside for requests in flight.",
            value: Double(memory.taken))
    }
}

extension NodeError {
    /// Whether only an operator can help, so that starting again is no use.
    var isForOperators: Bool {
        switch self {
        case .foreignDataFolder, .address, .storeIsLeft, .alreadyRunning: true
        case .dataFolder, .controlStore: false
        }
    }
}

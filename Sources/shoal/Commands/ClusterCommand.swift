import ArgumentParser
import Coordinator

struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "Look at a running cluster; move, split and merge its shards, add and remove nodes.",
        discussion: """
            Asks any node that is ready: those of --config and --data on this machine, or the one at --url.

            Examples:
              shoal cluster status
              shoal cluster shards --json
              shoal cluster move --collection words --shard 0 --from 1 --to 3
              shoal cluster rebalance --dry-run
              shoal cluster drain --node 3
              shoal cluster split --collection words --all

            Exit codes: 0 success; 1 no node answers, the cluster refuses, or an operation failed; \
            2 wrong configuration.
            """,
        subcommands: [
            ClusterStatusCommand.self, ClusterShardsCommand.self, ClusterMoveCommand.self,
            ClusterReplicateCommand.self, ClusterDropReplicaCommand.self, ClusterSetReplicationFactorCommand.self,
            ClusterAddCommand.self, ClusterDrainCommand.self, ClusterUndrainCommand.self, ClusterRemoveCommand.self,
            ClusterRebalanceCommand.self, ClusterSplitCommand.self, ClusterMergeCommand.self,
            ClusterOperationsCommand.self, ClusterCancelCommand.self,
            ClusterCompactCommand.self, ClusterVerifyCommand.self, ClusterRepairCommand.self,
        ])
}

/// Which cluster an administrative command speaks to, and how it answers.
struct ClusterOptions: ParsableArguments {
    @OptionGroup var place: ClusterPlace

    @Option(help: ArgumentHelp("Ask this node instead, such as http://10.0.0.7:6333.", valueName: "url"))
    var url: String?

    @Flag(help: "Print JSON.")
    var json = false

    /// The nodes that run here, else those of the configuration.
    func client() throws(ConfigurationError) -> AdminClient {
        if let url {
            return AdminClient(urls: [url.hasSuffix("/") ? String(url.dropLast()) : url])
        }
        let folder = place.folder
        if let record = folder.supervisorRecordOnDisk { return AdminClient(urls: record.nodes.map(\.httpURL)) }
        let running = folder.nodesWithData.compactMap { folder.runningProcess(of: $0)?.httpURL }
        return AdminClient(urls: running.isEmpty ? try place.configuration().nodes.map(\.httpURL) : running)
    }
}

struct ClusterStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show nodes with their leases, collections, and operations.",
        discussion: "Example: shoal cluster status --url http://127.0.0.1:6343")

    @OptionGroup var options: ClusterOptions

    func run() async throws {
        try await Outcome.of {
            let status = try await options.client().get("/shoal/cluster", as: ClusterStatus.self)
            if options.json { try Terminal.json(status) } else { Terminal.write(ClusterText.status(status)) }
        }
    }
}

struct ClusterShardsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shards",
        abstract: "Show the physical shards of each collection and their replicas.",
        discussion: """
            A replica that is in sync holds every acknowledged write; the primary orders the writes.

            Example: shoal cluster shards --collection words
            """)

    @OptionGroup var options: ClusterOptions

    @Option(help: ArgumentHelp("Only this collection's.", valueName: "name"))
    var collection: String?

    func run() async throws {
        try await Outcome.of {
            let query = collection.map { "?collection=\(URLText.queryValue($0))" } ?? ""
            let tables = try await options.client().get("/shoal/shards\(query)", as: [ShardTable].self)
            if options.json { try Terminal.json(tables) } else { Terminal.write(ClusterText.shards(tables)) }
        }
    }
}

struct ClusterOperationsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operations",
        abstract: "Show the operations of the last day and their steps, newest first.",
        discussion: "Example: shoal cluster operations --json")

    @OptionGroup var options: ClusterOptions

    func run() async throws {
        try await Outcome.of {
            let operations = try await options.client().get("/shoal/operations", as: [OperationStatus].self)
            if options.json {
                try Terminal.json(operations)
            } else {
                Terminal.write(ClusterText.operations(operations))
            }
        }
    }
}

struct ClusterCancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Cancel an operation; what it had begun is undone.",
        discussion: """
            Of an operation with steps, those that are over stay as they are; a node whose drain is cancelled takes \
            replicas again, and a collection gets its former replication factor.

            Example: shoal cluster cancel 01d3a9 (the id is in `shoal cluster operations`)
            """)

    @Argument(help: "The operation's id.")
    var id: String

    @OptionGroup var options: ClusterOptions

    func run() async throws {
        try await Outcome.of {
            let operation = try await options.client().delete(
                "/shoal/operations/\(URLText.pathComponent(id))", as: OperationStatus.self)
            if options.json {
                try Terminal.json(operation)
            } else {
                Terminal.write(ClusterText.operations([operation]))
            }
        }
    }
}

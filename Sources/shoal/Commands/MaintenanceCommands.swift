import ArgumentParser
import Coordinator
import DataModel
import Shard

/// Which replicas of a running cluster a command is about.
struct ReplicaChoice: ParsableArguments {
    @Option(help: ArgumentHelp("Only this collection.", valueName: "name"))
    var collection: String?

    @Option(help: ArgumentHelp("Only this shard.", valueName: "number"))
    var shard: UInt32?

    @Option(help: ArgumentHelp("Only the replicas of this node.", valueName: "number"))
    var node: UInt32?

    func request(_ task: MaintenanceTask) -> MaintenanceRequest {
        MaintenanceRequest(
            task: task, collection: collection, shard: shard.map { ShardNumber($0) }, node: node.map { NodeID($0) })
    }
}

struct ClusterCompactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact",
        abstract: "Rewrite replicas without their dead rows, in the background.",
        discussion: """
            A node does this by itself once a quarter of a replica's rows is deleted or replaced \
            (`compaction` in cluster.yaml). `shoal cluster shards` shows how far it is.

            Example: shoal cluster compact --collection words
            """)

    @OptionGroup var choice: ReplicaChoice
    @OptionGroup var options: ClusterOptions

    func run() async throws {
        try await Outcome.of {
            let reports = try await options.client().post(
                "/shoal/compact", choice.request(.compact), as: [MaintenanceReport].self)
            if options.json { try Terminal.json(reports) } else { Terminal.write(ClusterText.maintenance(reports)) }
            if reports.contains(where: { $0.error != nil }) { throw Outcome.failure }
        }
    }
}

struct ClusterVerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare what replicas have on disk with its checksums, and with each other, while they serve.",
        discussion: """
            Names everything that is damaged, and each backup that has other points than its primary, or other versions \
            of them. Such a replica is taken out of service, and filled anew from another one that is in sync.

            It takes as long as reading all files, up to an hour; the collection, the shard and the node say which.

            Examples:
              shoal cluster verify
              shoal cluster verify --collection words --node 2

            Exit codes: 0 all is sound; 1 damage or a difference was found, or a replica could not be asked.
            """)

    @OptionGroup var choice: ReplicaChoice
    @OptionGroup var options: ClusterOptions

    func run() async throws {
        try await Outcome.of {
            let (client, request) = (try options.client(), choice.request(.verify))
            let reports = try await Terminal.withElapsedTime("verifying") {
                try await client.post(
                    "/shoal/verify", request, timeout: AdminClient.longestTimeout, as: [MaintenanceReport].self)
            }
            if options.json { try Terminal.json(reports) } else { Terminal.write(ClusterText.maintenance(reports)) }
            if reports.contains(where: { $0.error != nil || !$0.findings.isEmpty }) { throw Outcome.failure }
        }
    }
}

struct ClusterRepairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Fill one replica anew from its primary, whatever state it is in.",
        discussion: """
            Nodes do this by themselves with replicas whose data is damaged. The replica serves nothing until it has \
            caught up; its present files are kept as `<shard>.damaged` until then. Refused when no other replica of the \
            shard is in sync. `shoal cluster shards` shows how it comes along.

            Example: shoal cluster repair --collection words --shard 0 --node 2

            Exit codes: 0 it has begun; 1 it was refused.
            """)

    @Option(help: ArgumentHelp("The collection.", valueName: "name"))
    var collection: String

    @Option(help: ArgumentHelp("The shard.", valueName: "number"))
    var shard: UInt32

    @Option(help: ArgumentHelp("The node whose replica it is.", valueName: "number"))
    var node: UInt32

    @OptionGroup var options: ClusterOptions

    func run() async throws {
        try await Outcome.of {
            let request = MaintenanceRequest(
                task: .repair, collection: collection, shard: ShardNumber(shard), node: NodeID(node))
            let reports = try await options.client().post("/shoal/repair", request, as: [MaintenanceReport].self)
            if options.json { try Terminal.json(reports) } else { Terminal.write(ClusterText.maintenance(reports)) }
            if reports.contains(where: { $0.error != nil }) { throw Outcome.failure }
        }
    }
}

struct ShardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shard",
        abstract: "Look at the files of a node that is stopped.",
        subcommands: [ShardVerifyCommand.self])
}

struct ShardVerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare all that a stopped node has on disk with its checksums.",
        discussion: """
            Example: shoal shard verify data/node-1

            Exit codes: 0 all is sound; 1 damage was found, or there is no shard.
            """)

    @Argument(help: ArgumentHelp("A node's data folder, such as data/node-1.", valueName: "folder"))
    var folder: String

    @Option(help: ArgumentHelp("Only this one, as <collection id>/<number>.", valueName: "shard"))
    var shard: String?

    func run() async throws {
        try await Outcome.of {
            let shards = try OfflineShards(nodeFolder: folder, only: shard)
            var isSound = true
            for (name, path) in shards.folders {
                do throws(ShardError) {
                    let report = try Shard.verify(folder: path)
                    Terminal.write("\(name): \(report.summary)\n" + report.allFindings.map { "  \($0)\n" }.joined())
                    isSound = isSound && report.isSound
                } catch {
                    Terminal.write("\(name): \(error)\n")
                    isSound = false
                }
            }
            if !isSound { throw Outcome.failure }
        }
    }
}

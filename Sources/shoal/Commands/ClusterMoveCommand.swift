import ArgumentParser
import Coordinator
import DataModel

struct ClusterMoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Move a replica of a physical shard to another node, while it is used.",
        discussion: """
            The new node first gets a copy and catches up, then the old one is removed. Queries and writes go on \
            meanwhile. The operation goes on when this command is interrupted; `shoal cluster operations` shows it, \
            `shoal cluster cancel` undoes it.

            Example: shoal cluster move --collection words --shard 0 --from 1 --to 3
            """)

    @Option(help: ArgumentHelp("The collection.", valueName: "name"))
    var collection: String

    @Option(help: ArgumentHelp("The physical shard's number.", valueName: "number"))
    var shard: UInt32

    @Option(help: ArgumentHelp("The node that has the replica.", valueName: "node"))
    var from: UInt32

    @Option(help: ArgumentHelp("The node that gets it.", valueName: "node"))
    var to: UInt32

    @Flag(name: .customLong("no-wait"), help: "Return when the operation is recorded.")
    var noWait = false

    @OptionGroup var options: ClusterOptions

    func run() async throws {
        try await Outcome.of {
            let client = try options.client()
            let request = MoveRequest(
                collection: collection, shard: ShardNumber(shard), from: NodeID(from), to: NodeID(to))
            var operations = [try await client.post("/shoal/move", request, as: OperationStatus.self)]
            if !noWait {
                operations = try await OperationWatch(client: client, isQuiet: options.json).wait(for: operations)
            }
            if options.json {
                try Terminal.json(operations.first)
            } else if noWait {
                Terminal.write(ClusterText.operations(operations))
            }
            if operations.contains(where: \.hasFailed) { throw Outcome.failure }
        }
    }
}

struct ClusterRebalanceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebalance",
        abstract: "Spread replicas evenly over the nodes.",
        discussion: """
            Prints the plan with the reason of each move, then carries it out without asking. --dry-run only prints.

            Examples:
              shoal cluster rebalance --dry-run
              shoal cluster rebalance --no-wait
            """)

    @Flag(name: .customLong("dry-run"), help: "Print the plan and change nothing.")
    var dryRun = false

    @Flag(name: .customLong("no-wait"), help: "Return when the moves are recorded.")
    var noWait = false

    @OptionGroup var options: ClusterOptions

    func run() async throws {
        try await Outcome.of {
            let client = try options.client()
            let plan = try await client.get("/shoal/rebalance", as: RebalancePlan.self)
            if !options.json { Terminal.write(ClusterText.plan(plan)) }
            if dryRun {
                if options.json { try Terminal.json(plan) }
                return
            }
            var operations: [OperationStatus] = []
            if !plan.steps.isEmpty {
                operations = try await client.post("/shoal/rebalance", as: [OperationStatus].self)
            }
            if !noWait {
                operations = try await OperationWatch(client: client, isQuiet: options.json).wait(for: operations)
            }
            if options.json { try Terminal.json(operations) }
            if operations.contains(where: \.hasFailed) { throw Outcome.failure }
        }
    }
}

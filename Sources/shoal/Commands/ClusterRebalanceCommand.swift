import ArgumentParser
import DataModel

extension BalanceMeasure: ExpressibleByArgument {}

struct ClusterRebalanceCommand: AsyncParsableCommand {
    static let nothingToDo = "The cluster is balanced; nothing to move."

    static let configuration = CommandConfiguration(
        commandName: "rebalance",
        abstract: "Spread replicas evenly over the nodes.",
        discussion: """
            Prints the plan with the reason of each move, then carries it out without asking. --dry-run only prints. \
            Without --by the numbers of replicas are evened out, then their bytes as far as the numbers allow. With it \
            only what it names: points, bytes, or load, the time that the searches of the last minute took. Nodes that \
            differ by less than a fifth of the mean are left alone. Two replicas of a shard are kept in different \
            zones, where there are any; nodes that are drained neither give nor take.

            Examples:
              shoal cluster rebalance --dry-run
              shoal cluster rebalance --by load --max-bytes-per-second 50MiB
            """)

    @Option(help: ArgumentHelp("What to even out: points, bytes or load.", valueName: "measure"))
    var by: BalanceMeasure?

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await Outcome.of {
            try await operation.run(OperationBody(kind: "rebalance", by: by?.rawValue), nothingToDo: Self.nothingToDo)
        }
    }
}

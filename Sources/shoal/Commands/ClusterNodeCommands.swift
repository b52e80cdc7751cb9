import ArgumentParser
import Coordinator
import DataModel

struct ClusterAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Give a new node its share of the replicas, once it has joined.",
        discussion: """
            A node joins when it is started: `shoal serve --config cluster.yaml --node 4`, on a machine of its own \
            when the control store is etcd. This command waits until it is alive, and then rebalances. A node that was \
            drained takes replicas again.

            Example: shoal cluster add --node 4 --max-bytes-per-second 50MiB
            """)

    private static let pollInterval = Duration.milliseconds(200)

    @Option(help: ArgumentHelp("The node.", valueName: "number"))
    var node: UInt32

    @Option(help: ArgumentHelp("How long to wait until the node is alive, in seconds.", valueName: "seconds"))
    var within = 300

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await Outcome.of {
            let client = try operation.options.client()
            let found = try await waitUntilAlive(client)
            if found.draining && !operation.dryRun {
                _ = try await client.delete("/shoal/draining/\(node)", as: Bool.self)
            }
            try await operation.run(
                OperationBody(kind: "rebalance"), nothingToDo: ClusterRebalanceCommand.nothingToDo)
        }
    }

    private func waitUntilAlive(_ client: AdminClient) async throws -> ClusterStatus.Node {
        let deadline = ContinuousClock.now + .seconds(within)
        var hasSaid = false
        while true {
            let status = try await client.get("/shoal/cluster", as: ClusterStatus.self)
            if let found = status.nodes.first(where: { $0.id.rawValue == node }), found.alive { return found }
            let place = operation.options.place
            let start = "shoal serve --config \(place.config) --node \(node) --data \(place.data)"
            guard ContinuousClock.now < deadline else {
                throw StartFailure("node \(node) did not join within \(within) s; start it with `\(start)`")
            }
            if !hasSaid { Terminal.note("waiting for node \(node); start it with `\(start)`") }
            hasSaid = true
            try await Task.sleep(for: Self.pollInterval)
        }
    }
}

struct ClusterDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Take all replicas away from a node, and keep them away.",
        discussion: """
            They move to the nodes with the fewest, in zones of their own where there are any, while they are used. \
            From the beginning on the node gets no new replica, and is not chosen as primary. Cancelled, it takes replicas \
            again; what was moved stays where it is. Refused when a replica could go nowhere.

            Example: shoal cluster drain --node 4 --dry-run
            """)

    @Option(help: ArgumentHelp("The node.", valueName: "number"))
    var node: UInt32

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await Outcome.of {
            try await operation.run(
                OperationBody(kind: "drain", node: node),
                afterwards: "Node \(node) holds nothing. `shoal cluster undrain --node \(node)` lets it take replicas "
                    + "again, `shoal cluster remove --node \(node)` forgets it.")
        }
    }
}

struct ClusterUndrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undrain",
        abstract: "Let a drained node take replicas again.",
        discussion: """
            A drain that is under way is cancelled. `shoal cluster rebalance` then gives the node its share.

            Example: shoal cluster undrain --node 4
            """)

    @Option(help: ArgumentHelp("The node.", valueName: "number"))
    var node: UInt32

    @OptionGroup var options: ClusterOptions

    func run() async throws {
        try await Outcome.of {
            let isDone = try await options.client().delete("/shoal/draining/\(node)", as: Bool.self)
            if options.json {
                try Terminal.json(isDone)
            } else {
                Terminal.print("Node \(node) takes replicas again; `shoal cluster rebalance` gives it its share.")
            }
        }
    }
}

struct ClusterRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take all replicas away from a node, which may be dead, and forget it.",
        discussion: """
            Drains the node first, if it holds anything. The replicas of a dead one are made anew elsewhere from the \
            others that are in sync; it is refused while the node has the last one of a shard. Stop the node \
            afterwards: it takes no more requests. Started again, it joins as a new one.

            Example: shoal cluster remove --node 4
            """)

    @Option(help: ArgumentHelp("The node.", valueName: "number"))
    var node: UInt32

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await Outcome.of {
            try await operation.run(
                OperationBody(kind: "remove", node: node),
                afterwards: "Node \(node) is forgotten. Stop its process, if it runs; started again, it joins anew.")
        }
    }
}

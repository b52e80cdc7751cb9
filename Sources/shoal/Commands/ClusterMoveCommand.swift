import ArgumentParser

/// Which physical shard a command is about.
struct ShardChoice: ParsableArguments {
    @Option(help: ArgumentHelp("The collection.", valueName: "name"))
    var collection: String

    @Option(help: ArgumentHelp("The physical shard's number.", valueName: "number"))
    var shard: UInt32
}

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

    @OptionGroup var shard: ShardChoice

    @Option(help: ArgumentHelp("The node that has the replica.", valueName: "node"))
    var from: UInt32

    @Option(help: ArgumentHelp("The node that gets it.", valueName: "node"))
    var to: UInt32

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await Outcome.of {
            try await operation.run(
                OperationBody(
                    kind: "move", collection: shard.collection, shard: shard.shard, from: from, to: to))
        }
    }
}

struct ClusterReplicateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replicate",
        abstract: "Give a node one more replica of a physical shard.",
        discussion: """
            The shard then has a replica more than its collection asks for; `set-replication-factor` changes that \
            number.

            Example: shoal cluster replicate --collection words --shard 0 --to 3
            """)

    @OptionGroup var shard: ShardChoice

    @Option(help: ArgumentHelp("The node that gets the replica.", valueName: "node"))
    var to: UInt32

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await Outcome.of {
            try await operation.run(
                OperationBody(kind: "replicate", collection: shard.collection, shard: shard.shard, to: to))
        }
    }
}

struct ClusterDropReplicaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop-replica",
        abstract: "Take a replica of a physical shard away from a node.",
        discussion: """
            Refused for the last one that is in sync and alive, and when fewer would be left than the collection's \
            write_consistency_factor.

            Example: shoal cluster drop-replica --collection words --shard 0 --from 3
            """)

    @OptionGroup var shard: ShardChoice

    @Option(help: ArgumentHelp("The node that gives the replica up.", valueName: "node"))
    var from: UInt32

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await Outcome.of {
            try await operation.run(
                OperationBody(kind: "drop-replica", collection: shard.collection, shard: shard.shard, from: from))
        }
    }
}

struct ClusterSetReplicationFactorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-replication-factor",
        abstract: "Change how many replicas each shard of a collection has, while it is used.",
        discussion: """
            Adds replicas on the nodes with the fewest, in zones of their own where there are any, or drops those that \
            are missed least. Asked for the present number, it makes the replicas that are missing.

            Example: shoal cluster set-replication-factor --collection words --factor 3 --dry-run
            """)

    @Option(help: ArgumentHelp("The collection.", valueName: "name"))
    var collection: String

    @Option(help: ArgumentHelp("Replicas of each shard.", valueName: "number"))
    var factor: Int

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await Outcome.of {
            try await operation.run(
                OperationBody(kind: "set-replication-factor", collection: collection, factor: factor))
        }
    }
}

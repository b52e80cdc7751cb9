import ArgumentParser
package import Coordinator
import DataModel

struct ClusterSplitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "split",
        abstract: "Divide physical shards into smaller ones, while they are used.",
        discussion: """
            New shards are filled beside the old one, on its nodes, and take its place when they have everything. Queries \
            and writes go on meanwhile. Prints the plan, then carries it out; one shard after another. The operations go \
            on when this command is interrupted; `shoal cluster cancel` gives one up.

            Examples:
              shoal cluster split --collection words --shard 0
              shoal cluster split --collection words --all --into 4 --dry-run
            """)

    @Option(help: ArgumentHelp("The collection.", valueName: "name"))
    var collection: String

    @Option(help: ArgumentHelp("The physical shard's number.", valueName: "number"))
    var shard: UInt32?

    @Flag(help: "Every shard of the collection.")
    var all = false

    @Option(help: ArgumentHelp("Into how many shards each is divided.", valueName: "count"))
    var into = 2

    @OptionGroup var pace: ReshardPace
    @OptionGroup var options: ClusterOptions

    func validate() throws {
        guard (shard != nil) != all else { throw ValidationError("Give either --shard or --all.") }
    }

    func run() async throws {
        var request = ReshardBody(collection: collection, pace: pace)
        (request.shard, request.into) = (shard, into)
        try await pace.run("/shoal/split", request, options)
    }
}

struct ClusterMergeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Put physical shards together, while they are used.",
        discussion: """
            The new shard is filled on the nodes of the largest of the old ones, and takes their place when it has \
            everything. Otherwise as `shoal cluster split`.

            Examples:
              shoal cluster merge --collection words --shards 0,1
              shoal cluster merge --collection words --to 3
            """)

    @Option(help: ArgumentHelp("The collection.", valueName: "name"))
    var collection: String

    @Option(help: ArgumentHelp("The shards' numbers, such as 0,1.", valueName: "numbers"))
    var shards: String?

    @Option(help: ArgumentHelp("Merge neighbours until so many shards are left.", valueName: "count"))
    var to: Int?

    @OptionGroup var pace: ReshardPace
    @OptionGroup var options: ClusterOptions

    func validate() throws {
        guard (shards != nil) != (to != nil) else { throw ValidationError("Give either --shards or --to.") }
        guard numbers != nil else { throw ValidationError("--shards takes numbers, such as 0,1.") }
    }

    /// Nil when they are no numbers.
    private var numbers: [UInt32]? {
        let words = shards?.split(separator: ",", omittingEmptySubsequences: false) ?? []
        let numbers = words.compactMap { UInt32($0) }
        return numbers.count == words.count ? numbers : nil
    }

    func run() async throws {
        var request = ReshardBody(collection: collection, pace: pace)
        request.to = to
        if shards != nil { request.shards = numbers }
        try await pace.run("/shoal/merge", request, options)
    }
}

/// What both commands send.
struct ReshardBody: Encodable {
    var collection: String
    var shard: UInt32?
    var into: Int?
    var shards: [UInt32]?
    var to: Int?
    var maxBytesPerSecond: UInt64?
    var dryRun: Bool

    init(collection: String, pace: ReshardPace) {
        self.collection = collection
        maxBytesPerSecond = pace.rate?.bytesPerSecond
        dryRun = pace.dryRun
    }
}

/// How both commands go about it.
struct ReshardPace: ParsableArguments {
    @Flag(name: .customLong("dry-run"), help: "Print the plan and change nothing.")
    var dryRun = false

    @Flag(name: .customLong("no-wait"), help: "Return when the operations are recorded.")
    var noWait = false

    @Option(
        name: .customLong("max-bytes-per-second"),
        help: ArgumentHelp("The most that is copied in a second, such as 50MiB.", valueName: "bytes"))
    var rate: ByteRate?

    func run(_ path: String, _ request: ReshardBody, _ options: ClusterOptions) async throws {
        try await Outcome.of {
            let client = try options.client()
            var report = try await client.post(path, request, as: ReshardReport.self)
            if !options.json { Terminal.write(ClusterText.plan(report)) }
            if !dryRun && !noWait {
                let watch = OperationWatch(client: client, isQuiet: options.json)
                for index in report.operations.indices {
                    report.operations[index] = try await watch.wait(for: report.operations[index])
                }
            }
            if options.json { try Terminal.json(report) }
            if report.operations.contains(where: \.hasFailed) { throw Outcome.failure }
        }
    }
}

extension ClusterText {
    package static func plan(_ report: ReshardReport) -> String {
        if report.steps.isEmpty { return "nothing to do\n" }
        var steps = TextTable([
            .init("", .right), .init("SHARDS"), .init("INTO (VIRTUAL)"), .init("POINTS", .right), .init("SIZE", .right),
            .init("REASON"),
        ])
        for (index, step) in report.steps.enumerated() {
            steps.add([
                "\(index + 1).", "\(report.collection)/" + step.from.map(\.description).joined(separator: "+"),
                step.into.map { $0.map(\.description).joined(separator: ",") }.joined(separator: " | "),
                Figures.grouped(step.points), Figures.bytes(step.bytes), step.reason,
            ])
        }
        return "Plan:\n" + steps.render()
    }
}

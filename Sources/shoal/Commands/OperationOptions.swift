import ArgumentParser
import Coordinator
import DataModel

/// Bytes in a second: `50MiB`, or a number.
struct ByteRate: ExpressibleByArgument {
    let bytesPerSecond: UInt64

    init?(argument: String) {
        guard let bytes = Int(argument) ?? Quantities.bytes(argument), bytes > 0 else { return nil }
        bytesPerSecond = UInt64(bytes)
    }
}

/// The body of `POST /shoal/operations`.
struct OperationBody: Encodable {
    var kind: String
    var collection: String?
    var shard: UInt32?
    var from: UInt32?
    var to: UInt32?
    var factor: Int?
    var node: UInt32?
    var by: String?
    var maxBytesPerSecond: UInt64?
    var dryRun: Bool?
}

/// What the commands that begin an operation have in common.
struct OperationOptions: ParsableArguments {
    @Flag(name: .customLong("dry-run"), help: "Print the plan and change nothing.")
    var dryRun = false

    @Flag(name: .customLong("no-wait"), help: "Return when the operation is recorded.")
    var noWait = false

    @Option(
        name: .customLong("max-bytes-per-second"),
        help: ArgumentHelp("The most that each transfer sends, such as 50MiB.", valueName: "bytes"))
    var rate: ByteRate?

    @OptionGroup var options: ClusterOptions

    /// Prints the plan, begins the operation, and follows it to its end.
    ///
    /// - Parameters:
    ///   - nothingToDo: said in place of an empty plan, and nothing is begun then; nil to begin all the same.
    ///   - afterwards: said when the operation is done.
    func run(_ body: OperationBody, nothingToDo: String? = nil, afterwards: String? = nil) async throws {
        let client = try options.client()
        var body = body
        body.maxBytesPerSecond = rate?.bytesPerSecond
        var dry = body
        dry.dryRun = true
        let plan = try await client.post("/shoal/operations", dry, as: OperationPlan.self)
        if !options.json {
            Terminal.write(ClusterText.plan(plan, nothingToDo: nothingToDo ?? "Nothing is to be moved."))
        }
        if dryRun {
            if options.json { try Terminal.json(plan) }
            return
        }
        if plan.steps.isEmpty, nothingToDo != nil {
            if options.json { try Terminal.json(OperationStatus?.none) }
            return
        }
        let begun = try await client.post("/shoal/operations", body, as: OperationStatus.self)
        let operation =
            noWait ? begun : try await OperationWatch(client: client, isQuiet: options.json).wait(for: begun)
        if options.json {
            try Terminal.json(operation)
        } else if noWait {
            Terminal.write(ClusterText.operations([operation]))
        } else if operation.state == .done, let afterwards {
            Terminal.print(afterwards)
        }
        if operation.hasFailed { throw Outcome.failure }
    }
}

import ArgumentParser

/// The command line of Shoal.
@main
struct Shoal: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "shoal",
        abstract: "A sharded, replicated vector database that speaks Qdrant's REST dialect.",
        discussion: """
            One node, nothing to configure, data in ./data:
              shoal serve

            The cluster of a cluster.yaml, all nodes on this machine:
              shoal up --detach
              shoal status
              shoal cluster shards
              shoal down

            Exit codes: 0 success; 1 failure; 2 wrong configuration, a port in use, or a data folder \
            that belongs to another cluster; 64 wrong usage.
            """,
        version: version,
        subcommands: [
            ServeCommand.self, UpCommand.self, DownCommand.self, StatusCommand.self, ClusterCommand.self,
            ShardCommand.self, ControlCommand.self,
        ])
}

/// Where a cluster on this machine is described, and where it keeps its data.
struct ClusterPlace: ParsableArguments {
    static let defaultConfig = "cluster.yaml"
    static let defaultData = "data"

    @Option(name: .long, help: ArgumentHelp("The cluster's settings.", valueName: "file"))
    var config = Self.defaultConfig

    @Option(name: .long, help: ArgumentHelp("The cluster's data, logs and control store.", valueName: "folder"))
    var data = Self.defaultData

    var folder: ClusterFolder { ClusterFolder(data) }

    func configuration() throws(ConfigurationError) -> ClusterConfiguration { try ClusterConfiguration(path: config) }

    /// The options as they were given, for the commands that we tell the user to type.
    var asTyped: String {
        var text = ""
        if config != Self.defaultConfig { text += " --config \(config)" }
        if data != Self.defaultData { text += " --data \(data)" }
        return text
    }
}

/// The ways in which commands end.
enum Outcome {
    static let failure = ExitCode(1)
    static let wrongConfiguration = ExitCode(2)
    static let notAllReady = ExitCode(3)

    /// Runs a command; what it throws is said in one line on standard error, and decides the exit code.
    static func of(_ command: () async throws -> Void) async throws {
        do {
            try await command()
        } catch let code as ExitCode {
            throw code
        } catch let error as ConfigurationError {
            Terminal.error("\(error)")
            throw wrongConfiguration
        } catch let error as StartError {
            Terminal.error("\(error)")
            throw wrongConfiguration
        } catch {
            Terminal.error("\(error)")
            throw failure
        }
    }
}

/// Why a node or a cluster cannot be started here, and what to do about it.
struct StartError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

import ArgumentParser
import DataModel
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Start the cluster of a cluster.yaml on this machine.",
        discussion: """
            Starts each node as a process of its own and starts it again when it crashes. Ctrl-C stops all \
            of them in order. A cluster that runs already is left alone.

            Examples:
              shoal up                        stay in the foreground
              shoal up --detach               return when all nodes are ready
              shoal up --config big.yaml --data /var/lib/shoal

            Exit codes: 0 stopped in order, or ready with --detach, or running already; 1 the nodes did not \
            get ready; 2 wrong configuration, a port in use, or a data folder of another cluster.
            """)

    @OptionGroup var place: ClusterPlace

    @Flag(help: "Return when all nodes are ready; the cluster runs on.")
    var detach = false

    @Flag(name: .customLong("no-restart"), help: "Leave a crashed node down.")
    var noRestart = false

    /// The half of `--detach` that runs on.
    @Flag(name: .customLong("supervise"), help: .hidden)
    var isDetachedSupervisor = false

    func run() async throws {
        try await Outcome.of {
            let configuration = try place.configuration()
            let folder = place.folder
            try folder.makeFolders()
            if FileLock.isHeld(path: folder.supervisorLock) {
                return try await leaveAlone(configuration, folder)
            }
            try refuseForeignNodes(configuration, folder)
            for node in configuration.nodes where folder.runningProcess(of: node.id) == nil {
                try configuration.checkPorts(of: node)
            }
            if detach {
                try await startDetached(configuration, folder)
            } else {
                try await supervise(configuration, folder)
            }
        }
    }

    // MARK: - Running already

    private func leaveAlone(_ configuration: ClusterConfiguration, _ folder: ClusterFolder) async throws {
        let record = try await startingSupervisor(folder)
        Terminal.print("The cluster runs already: supervisor pid \(record.supervisor.pid), data \(folder.root)")
        if !record.matches(configuration) {
            Terminal.note(
                "note: it was started with other nodes than \(place.config) has now; "
                    + "`shoal down` and `shoal up` take the new ones")
        }
        guard detach else { return }
        try await Startup(folder: folder).waitUntilReady(record.nodes) { true }
        printReady(record.nodes.map(\.httpURL), folder)
    }

    /// A supervisor locks first and writes its record a moment later.
    private func startingSupervisor(_ folder: ClusterFolder) async throws -> SupervisorRecord {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            if let record = folder.runningSupervisor { return record }
            guard ContinuousClock.now < deadline, FileLock.isHeld(path: folder.supervisorLock) else {
                throw StartError("another supervisor is ending or starting on \(folder.root); try again in a moment")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Nodes that a killed supervisor left running can be adopted when they are those of the configuration.
    private func refuseForeignNodes(_ configuration: ClusterConfiguration, _ folder: ClusterFolder) throws {
        for id in folder.nodesWithData {
            guard let running = folder.runningProcess(of: id) else { continue }
            // One beyond nodeCount has joined by `shoal serve --node`, and is left to whoever started it.
            let isPossible = ClusterConfiguration.nodeCounts.contains(Int(id.rawValue))
            guard isPossible, running.listens(as: configuration.endpoints(of: id)) else {
                throw StartError(
                    "node \(id) of \(folder.root) runs already at \(running.httpURL) (pid \(running.process.pid)), "
                        + "which is not what \(place.config) says; stop it with `shoal down\(place.asTyped)`")
            }
        }
    }

    // MARK: - Starting

    private func startDetached(_ configuration: ClusterConfiguration, _ folder: ClusterFolder) async throws {
        var command = [
            try ChildProcess.ownExecutable(), "up", "--supervise", "--config", absolute(place.config),
            "--data", folder.root,
        ]
        if noRestart { command.append("--no-restart") }
        let supervisor = try ChildProcess.start(command, log: folder.supervisorLog)
        let identity = ProcessIdentity(of: supervisor)
        func isAlive() -> Bool { ChildProcess.exit(of: supervisor) == nil || folder.runningSupervisor != nil }
        let deadline = ContinuousClock.now + .seconds(10)
        while folder.runningSupervisor == nil {
            guard isAlive(), ContinuousClock.now < deadline else {
                throw StartFailure("the supervisor did not start; see \(folder.supervisorLog)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        let nodes = folder.runningSupervisor?.nodes ?? []
        do {
            try await Startup(folder: folder).waitUntilReady(nodes, while: isAlive)
        } catch let failure as StartFailure where failure.isWrongConfiguration {
            Terminal.error("\(failure)")
            identity?.signal(SIGTERM)
            while ChildProcess.exit(of: supervisor) == nil { try await Task.sleep(for: .milliseconds(20)) }
            throw Outcome.wrongConfiguration
        }
        printReady(configuration.nodes.map(\.httpURL), folder)
    }

    private func supervise(_ configuration: ClusterConfiguration, _ folder: ClusterFolder) async throws {
        guard let lock = try FileLock(path: folder.supervisorLock) else {
            return try await leaveAlone(configuration, folder)
        }
        let isDetached = isDetachedSupervisor
        let supervisor = Supervisor(
            configuration: configuration, folder: folder,
            command: [
                try ChildProcess.ownExecutable(), "serve", "--config", absolute(place.config), "--data", folder.root,
            ],
            restarts: !noRestart,
            report: { line in Terminal.print(isDetached ? "\(Date.now.ISO8601Format()) \(line)" : line) })
        var services: [any Service] = [supervisor]
        if !isDetached {
            let urls = configuration.nodes.map(\.httpURL)
            services.append(Announcement(folder: folder, announce: { printReady(urls, folder) }))
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services.map { .init(service: $0, successTerminationBehavior: .ignore) },
                // The terminal that goes away takes the cluster in its foreground along, in order.
                gracefulShutdownSignals: [.sigterm, .sigint, .sighup],
                logger: Logger(label: "shoal.up", factory: { _ in SwiftLogNoOpLogHandler() })))
        try await group.run()
        withExtendedLifetime(lock) {}
        if !isDetached { Terminal.print("The cluster is stopped.") }
    }

    private func absolute(_ path: String) -> String {
        URL(filePath: path).absoluteURL.standardized.path(percentEncoded: false)
    }

    private func printReady(_ urls: [String], _ folder: ClusterFolder) {
        Terminal.print("\nShoal is ready. Any node takes any request:")
        for url in urls { Terminal.print("  \(url)") }
        Terminal.print("Data in \(folder.root), logs in \(folder.logs)")
        let stop = "\(CommandLine.arguments.first ?? "shoal") down\(place.asTyped)"
        Terminal.print(detach ? "Stop it with: \(stop)" : "Stop it with Ctrl-C, or with: \(stop)")
    }
}

/// Tells the user of a foreground cluster when it is ready; a failure is told, and the supervisor goes on.
private struct Announcement: Service {
    let folder: ClusterFolder
    let announce: @Sendable () -> Void

    func run() async throws {
        await cancelWhenGracefulShutdown {
            do {
                while folder.runningSupervisor == nil { try await Task.sleep(for: .milliseconds(20)) }
                try await Startup(folder: folder).waitUntilReady(folder.runningSupervisor?.nodes ?? []) { true }
                announce()
            } catch is CancellationError {
                return
            } catch {
                Terminal.error("\(error)")
            }
        }
    }
}

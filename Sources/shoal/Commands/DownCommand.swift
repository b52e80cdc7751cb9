import ArgumentParser
import DataModel
import Glibc

struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down",
        abstract: "Stop the cluster on this machine, in order.",
        discussion: """
            Stops the supervisor and every node of the data folder, also nodes whose supervisor was killed and \
            a node started by `shoal serve`. A node that does not stop within 20 seconds is killed; \
            nothing acknowledged is lost by that.

            Examples:
              shoal down
              shoal down --data /var/lib/shoal

            Exit codes: 0 nothing runs any more; 1 something could not be stopped.
            """)

    @OptionGroup var place: ClusterPlace

    func run() async throws {
        try await Outcome.of {
            let folder = place.folder
            let hadSupervisor = try await stopSupervisor(of: folder)
            let stopped = try await stopNodes(of: folder)
            Terminal.print(
                hadSupervisor || stopped > 0
                    ? "The cluster is stopped; its data stays in \(folder.root)" : "Nothing runs in \(folder.root)")
        }
    }

    /// The supervisor stops its nodes itself.
    private func stopSupervisor(of folder: ClusterFolder) async throws -> Bool {
        guard let record = folder.runningSupervisor else { return false }
        let nodes = record.nodes.filter { $0.process?.isRunning == true }
        Terminal.print("stopping \(nodes.count) nodes (supervisor pid \(record.supervisor.pid))")
        record.supervisor.signal(SIGTERM)
        let hasEnded = try await wait(for: Supervisor.stopTimeout + .seconds(10), nodes: nodes.map(Named.init)) {
            !record.supervisor.isRunning
        }
        if !hasEnded {
            Terminal.note("the supervisor does not stop: killing it")
            record.supervisor.signal(SIGKILL)
        }
        return true
    }

    private func stopNodes(of folder: ClusterFolder) async throws -> Int {
        let recorded = (folder.supervisorRecordOnDisk?.nodes ?? []).compactMap(Named.init)
        let found = folder.nodesWithData.compactMap { id in
            folder.runningProcess(of: id).map { Named(id: id.rawValue, process: $0.process) }
        }
        var nodes = found
        for node in recorded where !found.contains(where: { $0.process == node.process }) { nodes.append(node) }
        nodes.removeAll { !$0.process.isRunning }
        guard !nodes.isEmpty else {
            removeRecord(of: folder)
            return 0
        }
        for node in nodes { node.process.signal(SIGTERM) }
        let all = nodes
        if try await !wait(for: Supervisor.stopTimeout, nodes: all, until: { all.allSatisfy { !$0.process.isRunning } })
        {
            for node in all where node.process.isRunning {
                Terminal.note("node \(node.id) does not stop: killing it")
                node.process.signal(SIGKILL)
            }
            guard try await wait(for: .seconds(5), nodes: all, until: { all.allSatisfy { !$0.process.isRunning } })
            else { throw StartFailure("a killed process is still there; is its disk hanging?") }
        }
        removeRecord(of: folder)
        return nodes.count
    }

    private func removeRecord(of folder: ClusterFolder) { unlink(folder.supervisorRecord) }

    private struct Named {
        var id: UInt32
        var process: ProcessIdentity

        init(id: UInt32, process: ProcessIdentity) {
            self.id = id
            self.process = process
        }

        init?(_ node: SupervisorRecord.Node) {
            guard let process = node.process else { return nil }
            self.init(id: node.id, process: process)
        }
    }

    /// Says of each node when it is gone; whether `isDone` came true in time.
    private func wait(for timeout: Duration, nodes: [Named?], until isDone: () -> Bool) async throws -> Bool {
        var nodes = nodes.compactMap { $0 }
        let deadline = ContinuousClock.now + timeout
        while true {
            let done = isDone()
            for node in nodes where !node.process.isRunning { Terminal.print("node \(node.id) stopped") }
            nodes.removeAll { !$0.process.isRunning }
            if done { return true }
            if ContinuousClock.now >= deadline { return false }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

import DataModel
import Glibc
import ServiceLifecycle

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Keeps the nodes of one `cluster.yaml` running as processes of this machine, until it is told to stop.
///
/// Killed itself, it leaves its nodes running; they write who they are into their data folders, where the next
/// supervisor finds and adopts them, and where `shoal down` finds and stops them.
struct Supervisor: Service {
    let configuration: ClusterConfiguration
    let folder: ClusterFolder
    /// The start of a node's command line; the id follows.
    let command: [String]
    let restarts: Bool
    /// Tells the operator what happened.
    let report: @Sendable (String) -> Void

    /// What a node gets to close its files before it is killed.
    static let stopTimeout = Duration.seconds(20)
    /// How soon a dead node is noticed.
    private static let tick = Duration.milliseconds(50)

    private struct SupervisedNode {
        let endpoints: ClusterConfiguration.Endpoints
        var process: ProcessIdentity?
        /// Children are waited for; adopted processes are only looked at.
        var isChild: Bool
        var supervision: NodeSupervision
        var isRunning: Bool { process != nil }
    }

    func run() async throws {
        var nodes = configuration.nodes.map { adoptOrStart($0) }
        writeRecord(of: nodes)
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            if supervise(&nodes) { writeRecord(of: nodes) }
            try? await Task.sleep(for: Self.tick)
        }
        await stop(&nodes)
        try? FileManager.default.removeItem(atPath: folder.supervisorRecord)
    }

    // MARK: - Keeping nodes running

    private func adoptOrStart(_ endpoints: ClusterConfiguration.Endpoints) -> SupervisedNode {
        let now = ContinuousClock.now
        var node = SupervisedNode(
            endpoints: endpoints, process: nil, isChild: true,
            supervision: NodeSupervision(restarts: restarts, now: now))
        if let running = folder.runningProcess(of: endpoints.id) {
            node.process = running.process
            node.isChild = false
            report("node \(endpoints.id) runs already (pid \(running.process.pid))")
        } else {
            start(&node)
        }
        return node
    }

    private func start(_ node: inout SupervisedNode) {
        let id = node.endpoints.id
        do {
            let pid = try ChildProcess.start(command + ["--node", "\(id)"], log: folder.log(of: id))
            node.isChild = true
            // Gone already: the next tick learns how it ended.
            node.process = ProcessIdentity(of: pid) ?? ProcessIdentity(pid: pid, startTicks: 0, bootID: "")
        } catch {
            node.process = nil
            node.supervision.failedToStart("\(error)", now: .now)
            report("node \(id) cannot be started: \(error)")
        }
    }

    /// Looks at each node once; whether anything changed.
    private func supervise(_ nodes: inout [SupervisedNode]) -> Bool {
        var changed = false
        for index in nodes.indices {
            let id = nodes[index].endpoints.id
            if let exit = exit(of: nodes[index]) {
                nodes[index].process = nil
                nodes[index].supervision.exited(exit, now: .now)
                report("node \(id): \(nodes[index].supervision.detail)")
                changed = true
            }
            if nodes[index].supervision.tick(now: .now) == .start {
                // A process that somebody else started for this node meanwhile is the node now.
                if let running = folder.runningProcess(of: id) {
                    nodes[index].process = running.process
                    nodes[index].isChild = false
                } else {
                    start(&nodes[index])
                }
                report("node \(id) started again (pid \(nodes[index].process?.pid ?? 0))")
                changed = true
            }
        }
        return changed
    }

    private func exit(of node: SupervisedNode) -> NodeSupervision.Exit? {
        guard let process = node.process else { return nil }
        if node.isChild { return ChildProcess.exit(of: process.pid) }
        return process.isRunning ? nil : .unknown
    }

    // MARK: - Stopping

    private func stop(_ nodes: inout [SupervisedNode]) async {
        report("stopping \(nodes.filter(\.isRunning).count) nodes")
        for index in nodes.indices {
            nodes[index].supervision.stop()
            send(SIGTERM, to: nodes[index])
        }
        writeRecord(of: nodes)
        let deadline = ContinuousClock.now + Self.stopTimeout
        var isKilling = false
        while nodes.contains(where: \.isRunning) {
            for index in nodes.indices {
                guard let exit = exit(of: nodes[index]) else { continue }
                nodes[index].process = nil
                report("node \(nodes[index].endpoints.id) stopped" + (exit == .code(0) ? "" : ": it \(exit)"))
            }
            if !isKilling, ContinuousClock.now >= deadline {
                isKilling = true
                for node in nodes where node.isRunning {
                    report(
                        "node \(node.endpoints.id) did not stop within \(Quantities.text(Self.stopTimeout)): killing it"
                    )
                    send(SIGKILL, to: node)
                }
            }
            // In a task of its own, which nobody cancels: no node is left behind because its supervisor is in a hurry.
            await Task { try? await Task.sleep(for: Self.tick) }.value
        }
    }

    private func send(_ signal: Int32, to node: SupervisedNode) {
        guard let process = node.process else { return }
        // A child keeps its pid until it is waited for, so that this cannot hit another process.
        if node.isChild { kill(process.pid, signal) } else { process.signal(signal) }
    }

    // MARK: - The record

    /// A full disk must not end the supervision: the nodes' own files still tell who they are.
    private func writeRecord(of nodes: [SupervisedNode]) {
        guard let own = ProcessIdentity(of: getpid()) else { return report("/proc/self/stat cannot be read") }
        let records = nodes.map { node in
            let state: SupervisorRecord.State =
                switch node.supervision.phase {
                case .running: .running
                case .waiting: .restarting
                case .down: .down
                }
            return SupervisorRecord.Node(
                id: node.endpoints.id.rawValue, process: node.process, httpURL: node.endpoints.httpURL,
                rpcAddress: node.endpoints.rpcAddress, dataFolder: folder.node(node.endpoints.id),
                logFile: folder.log(of: node.endpoints.id), state: state,
                restarts: node.supervision.restartCount, detail: node.supervision.detail)
        }
        do {
            try JSONFile.write(SupervisorRecord(supervisor: own, nodes: records), to: folder.supervisorRecord)
        } catch {
            report("\(folder.supervisorRecord) cannot be written: \(error)")
        }
    }
}

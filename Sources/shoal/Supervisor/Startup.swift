import DataModel

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Why a cluster did not get ready.
struct StartFailure: Error, CustomStringConvertible {
    var description: String
    /// A node refused its settings or its data folder: trying again is no use.
    var isWrongConfiguration = false

    init(_ description: String, isWrongConfiguration: Bool = false) {
        self.description = description
        self.isWrongConfiguration = isWrongConfiguration
    }
}

/// Waits for the nodes of a cluster that is starting, with a line for each.
struct Startup {
    let folder: ClusterFolder

    /// Opening large shards takes a node a while; one that takes longer is looked at with `shoal status`.
    private static let timeout = Duration.seconds(120)
    private static let pollInterval = Duration.milliseconds(50)
    /// A line for those who wait, when nothing happens.
    private static let reminderInterval = Duration.seconds(5)
    private static let shownLogLines = 5

    /// - Throws: `StartFailure` when a node is down for good, the time is up, or `isAlive` says that the supervisor ended.
    func waitUntilReady(_ nodes: [SupervisorRecord.Node], while isAlive: () -> Bool) async throws {
        let start = ContinuousClock.now
        var waiting = nodes
        var nextReminder = start + Self.reminderInterval
        while !waiting.isEmpty {
            let reasons = await notReadyReasons(waiting)
            for node in waiting where reasons[node.id] == nil {
                let took = Figures.seconds(start.duration(to: .now))
                Terminal.print("node \(node.id)  ready  \(node.httpURL)  (\(took))")
            }
            waiting.removeAll { reasons[$0.id] == nil }
            if waiting.isEmpty { return }
            try refuseDownNodes(waiting)
            let now = ContinuousClock.now
            guard isAlive() else {
                throw StartFailure("the supervisor ended; see \(folder.supervisorLog)")
            }
            guard now < start + Self.timeout else {
                let list = waiting.map { "node \($0.id) (\(reasons[$0.id] ?? "not ready"), log \($0.logFile))" }
                throw StartFailure(
                    "not ready after \(Quantities.text(Self.timeout)): \(list.joined(separator: ", ")); "
                        + "the cluster runs on, see `shoal status`")
            }
            if now >= nextReminder {
                nextReminder = now + Self.reminderInterval
                for node in waiting { Terminal.print("node \(node.id)  waiting: \(reasons[node.id] ?? "")") }
            }
            try await Task.sleep(for: Self.pollInterval)
        }
    }

    /// By node; none for a node that is ready.
    private func notReadyReasons(_ nodes: [SupervisorRecord.Node]) async -> [UInt32: String] {
        await withTaskGroup(of: (id: UInt32, reason: String?).self) { group in
            for node in nodes {
                group.addTask { (node.id, await ReadinessProbe.notReadyReason(url: node.httpURL)) }
            }
            return await group.reduce(into: [:]) { reasons, answer in reasons[answer.id] = answer.reason }
        }
    }

    private func refuseDownNodes(_ waiting: [SupervisorRecord.Node]) throws {
        for node in folder.runningSupervisor?.nodes ?? [] where node.state == .down {
            guard waiting.contains(where: { $0.id == node.id }) else { continue }
            let lines = logTail(node.logFile).map { "\n  \($0)" }.joined()
            throw StartFailure(
                "node \(node.id) does not run: \(node.detail); the end of \(node.logFile):\(lines)",
                isWrongConfiguration: node.detail.contains("code 2"))
        }
    }

    private func logTail(_ path: String) -> [Substring] {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { return [] }
        let text = String(decoding: data.suffix(8 << 10), as: UTF8.self)
        return Array(text.split(separator: "\n").suffix(Self.shownLogLines))
    }
}

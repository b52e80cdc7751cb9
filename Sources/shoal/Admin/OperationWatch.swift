import Coordinator
import DataModel

extension OperationStatus {
    var hasEnded: Bool { state != .planned && state != .running }
    var hasFailed: Bool { state == .failed || state == .cancelled }

    /// `move words/0 node 1 -> 3`
    var title: String { subject.isEmpty ? kind : "\(kind) \(subject)" }
}

/// Follows operations to their end: a bar for the one that runs on a terminal, lines elsewhere.
struct OperationWatch {
    let client: AdminClient
    /// JSON goes out at the end; nothing is told meanwhile.
    let isQuiet: Bool

    private static let pollInterval = Duration.milliseconds(200)
    /// Between two lines about the same operation in a log.
    private static let lineInterval = Duration.seconds(2)
    /// The node that was asked may die, and a failover takes a moment.
    private static let patience = Duration.seconds(30)

    private struct Seen {
        var state: OperationStatus.State
        var printedAt: ContinuousClock.Instant
        var rate = TransferRate()
    }

    /// The operations as they ended, in the order given.
    func wait(for started: [OperationStatus]) async throws -> [OperationStatus] {
        var current = Dictionary(uniqueKeysWithValues: started.map { ($0.id, $0) })
        var seen: [String: Seen] = [:]
        var lastAnswer = ContinuousClock.now
        var hasBar = false
        while true {
            for operation in started.compactMap({ current[$0.id] }) {
                hasBar = show(operation, &seen, hasBar: hasBar)
            }
            if current.values.allSatisfy(\.hasEnded) { return started.compactMap { current[$0.id] } }
            try await Task.sleep(for: Self.pollInterval)
            do {
                for operation in try await client.get("/shoal/operations", as: [OperationStatus].self)
                where current[operation.id] != nil {
                    current[operation.id] = operation
                }
                lastAnswer = .now
            } catch let error as AdminError where lastAnswer.duration(to: .now) < Self.patience {
                _ = error
            }
        }
    }

    /// Whether a bar is left on the line.
    private func show(_ operation: OperationStatus, _ seen: inout [String: Seen], hasBar: Bool) -> Bool {
        let now = ContinuousClock.now
        let before = seen[operation.id]
        var entry = before ?? Seen(state: operation.state, printedAt: now)
        entry.rate.add(operation.bytesDone, at: now)
        defer { seen[operation.id] = entry }
        if isQuiet || before?.state == operation.state && operation.hasEnded { return hasBar }
        let line = ProgressLine(
            label: operation.title, done: operation.bytesDone, total: operation.bytesTotal,
            bytesPerSecond: entry.rate.bytesPerSecond, detail: operation.detail)
        let isNews = before?.state != operation.state
        if operation.hasEnded {
            entry.state = operation.state
            let text = "\(operation.title): \(operation.state.rawValue)" + ended(operation)
            if Terminal.errorIsTerminal { Terminal.redraw("") }
            Terminal.note(text)
            return false
        }
        entry.state = operation.state
        if Terminal.errorIsTerminal {
            guard operation.state == .running else { return hasBar }
            Terminal.redraw(line.bar())
            return true
        }
        if isNews || entry.printedAt.duration(to: now) >= Self.lineInterval {
            entry.printedAt = now
            let planned = "\(operation.title): planned" + (operation.detail.isEmpty ? "" : ", \(operation.detail)")
            Terminal.note(operation.state == .planned ? planned : line.plain)
        }
        return hasBar
    }

    private func ended(_ operation: OperationStatus) -> String {
        if operation.state != .done { return operation.detail.isEmpty ? "" : ": \(operation.detail)" }
        return operation.bytesTotal > 0 ? ", \(Figures.bytes(operation.bytesTotal))" : ""
    }
}

/// The speed of a transfer over its last seconds.
package struct TransferRate: Sendable {
    private static let window = Duration.seconds(3)
    private var samples: [(at: ContinuousClock.Instant, bytes: UInt64)] = []

    package init() {}

    package mutating func add(_ bytes: UInt64, at instant: ContinuousClock.Instant) {
        samples.append((instant, bytes))
        while let second = samples.dropFirst().first, second.at.duration(to: instant) >= Self.window {
            samples.removeFirst()
        }
    }

    /// Nil while nothing has moved.
    package var bytesPerSecond: Double? {
        guard let first = samples.first, let last = samples.last, last.bytes > first.bytes else { return nil }
        let parts = first.at.duration(to: last.at).components
        let seconds = Double(parts.seconds) + Double(parts.attoseconds) / 1e18
        return seconds > 0 ? Double(last.bytes - first.bytes) / seconds : nil
    }
}

import Coordinator
import DataModel

extension OperationStatus {
    var hasEnded: Bool { state != .planned && state != .running }
    var hasFailed: Bool { state == .failed || state == .cancelled }

    /// `move words/0 node 1 -> 3`
    var title: String { subject.isEmpty ? kind : "\(kind) \(subject)" }
}

/// Follows an operation to its end: a bar while it runs on a terminal, lines elsewhere, and a line for each of its
/// steps that ends.
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
        var state: OperationStatus.State?
        var printedAt = ContinuousClock.now
        var rate = TransferRate()
        var endedSteps: Set<String> = []
    }

    /// The operation as it ended.
    func wait(for begun: OperationStatus) async throws -> OperationStatus {
        var current = begun
        var seen = Seen()
        var lastAnswer = ContinuousClock.now
        while true {
            show(current, &seen)
            if current.hasEnded { return current }
            try await Task.sleep(for: Self.pollInterval)
            do {
                let operations = try await client.get("/shoal/operations", as: [OperationStatus].self)
                // In their order: newest come first.
                for step in operations.reversed() where step.parent == begun.id && step.hasEnded {
                    guard seen.endedSteps.insert(step.id).inserted, !isQuiet else { continue }
                    say("  \(step.title): \(step.state.rawValue)\(ended(step))")
                }
                current = operations.first { $0.id == begun.id } ?? current
                lastAnswer = .now
            } catch let error as AdminError where lastAnswer.duration(to: .now) < Self.patience {
                _ = error
            }
        }
    }

    private func show(_ operation: OperationStatus, _ seen: inout Seen) {
        let now = ContinuousClock.now
        seen.rate.add(operation.bytesDone, at: now)
        let isNews = seen.state != operation.state
        seen.state = operation.state
        if isQuiet { return }
        if operation.hasEnded {
            if isNews { say("\(operation.title): \(operation.state.rawValue)\(ended(operation))") }
            return
        }
        let steps =
            operation.stepsTotal > 0
            ? "\(operation.stepsDone) of \(operation.stepsTotal) steps" : operation.detail
        let line = ProgressLine(
            label: operation.title, done: operation.bytesDone, total: operation.bytesTotal,
            bytesPerSecond: seen.rate.bytesPerSecond, detail: steps)
        if Terminal.errorIsTerminal {
            if operation.state == .running { Terminal.redraw(line.bar()) }
        } else if isNews || seen.printedAt.duration(to: now) >= Self.lineInterval {
            seen.printedAt = now
            let planned = "\(operation.title): planned" + (operation.detail.isEmpty ? "" : ", \(operation.detail)")
            Terminal.note(operation.state == .planned ? planned : line.plain)
        }
    }

    private func say(_ text: String) {
        if Terminal.errorIsTerminal { Terminal.redraw("") }
        Terminal.note(text)
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

import DataModel
import Synchronization

/// How often replicas were compared, for metrics.
package final class ComparisonFigures: Sendable {
    private let counts = Mutex((compared: UInt64.zero, diverged: UInt64.zero))

    /// Pairs of replicas that were compared, and those among them that differed.
    package var read: (compared: UInt64, diverged: UInt64) { counts.withLock { $0 } }

    func note(diverged: Bool) {
        counts.withLock { counts in
            counts.compared += 1
            if diverged { counts.diverged += 1 }
        }
    }
}

/// Compares the primaries of this node with their backups, one after another, each about once in an interval.
struct ComparisonRounds: Sendable {
    /// How often primaries that came or went are noticed.
    private static let longestPause: Duration = .seconds(1)

    let replicas: HostedReplicas
    let interval: Duration

    /// Runs until the task is cancelled.
    func run() async {
        var compared: [ShardID: ContinuousClock.Instant] = [:]
        while (try? await Task.sleep(for: min(Self.longestPause, interval))) != nil {
            let primaries = replicas.all.filter { $0.isPrimary }
            let present = Set(primaries.map(\.id))
            compared = compared.filter { present.contains($0.key) }
            for replica in primaries {
                // A new primary has just asked its backups what they have.
                guard let last = compared[replica.id] else {
                    compared[replica.id] = .now
                    continue
                }
                guard .now - last >= interval, !Task.isCancelled else { continue }
                _ = await replica.compareWithBackups()
                compared[replica.id] = .now
            }
        }
    }
}

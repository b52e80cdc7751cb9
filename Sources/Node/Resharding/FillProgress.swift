import Cluster
import DataModel

/// How far a new shard is, as the control store is told now and then, and how fast it may go on.
struct FillProgress: Sendable {
    private static let interval: Duration = .milliseconds(500)
    /// The node knows by then what it has said.
    private static let settlingTime: Duration = .seconds(2)

    private let shard: ShardID
    private let operation: String
    private let environment: ReplicaEnvironment
    /// The share of the operation's limit; nil when it has none.
    private let bytesPerSecond: Double?
    private let bytesTotal: UInt64
    private var bytesDone: UInt64 = 0
    private var lastReport: ContinuousClock.Instant?
    private(set) var lastPhase: OperationProgress.Filling.Phase?

    init(record: ShardRecord, plan: ReshardPlan, operation: OperationRecord, environment: ReplicaEnvironment) {
        shard = record.id
        self.operation = operation.id
        self.environment = environment
        let parts = UInt64(max(plan.into.count, 1))
        bytesTotal = operation.bytesTotal / parts
        bytesPerSecond = operation.maxBytesPerSecond.map { Double($0) / Double(parts) }
    }

    mutating func add(_ points: [VersionedPoint]) { bytesDone += Self.bytes(of: points) }

    private static func bytes(of points: [VersionedPoint]) -> UInt64 {
        points.reduce(0) { $0 + UInt64($1.point.estimatedBytes) }
    }

    /// How long to wait before the next page: without a limit as long as this one took, so that others get their turn.
    func pause(after time: Duration, of points: [VersionedPoint]) -> Duration {
        guard let bytesPerSecond else { return time }
        return max(.seconds(Double(Self.bytes(of: points)) / bytesPerSecond) - time, .zero)
    }

    /// Whether the store has another phase than was said last, and not for a moment only: a word that was given up as
    /// unanswered may have come after it.
    var isMisunderstood: Bool {
        guard let lastReport, ContinuousClock.now - lastReport > Self.settlingTime,
            let record = environment.cache.current.shard(shard)?.value,
            let known = environment.cache.current.fillingProgress(of: record)?.phase
        else { return false }
        return known != lastPhase
    }

    /// Losing a report matters to nobody, but for the last ones, which `force` repeats.
    mutating func report(
        _ phase: OperationProgress.Filling.Phase, rows: UInt64, detail: String = "", force: Bool = false
    ) async {
        let now = ContinuousClock.now
        if phase == lastPhase, !force, let lastReport, now - lastReport < Self.interval { return }
        (lastReport, lastPhase) = (now, phase)
        let progress = OperationProgress(
            bytesDone: min(bytesDone, bytesTotal), bytesTotal: bytesTotal,
            filling: OperationProgress.Filling(phase: phase, rows: rows, detail: detail))
        repeat {
            // Nothing is left behind when the operation has ended.
            guard let record = environment.cache.current.shard(shard), record.value.filling != nil else { return }
            let outcome = try? await environment.cache.store.transaction(
                guards: [ControlGuard(key: ControlKey.shard(shard), expected: record.revision)],
                mutations: [.put(key: ControlKey.progress(operation, shard.number), value: progress.encoded)])
            if case .committed = outcome { return }
            _ = try? await environment.cache.refreshIfStale()
            try? await Task.sleep(for: .milliseconds(100))
        } while force && !Task.isCancelled
    }
}

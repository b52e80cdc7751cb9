internal import DataModel

/// What a shard knows of its compactions.
struct CompactionState {
    typealias Outcome = Result<Void, ShardError>

    /// Nil when none is wanted or under way.
    var progress: CompactionProgress?
    /// To be told when it ends.
    var waiters: [CheckedContinuation<Outcome, Never>] = []
    /// None begins by itself before this time: one that failed would fail again at once.
    var notBefore = ContinuousClock.now
    /// Since the shard was opened.
    var completed: UInt64 = 0
    var failed: UInt64 = 0
    var lastDuration: Duration?

    static let retryDelay: Duration = .seconds(60)
}

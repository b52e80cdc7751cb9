internal import DataModel

/// How far a compaction is.
package struct CompactionProgress: Sendable, Equatable {
    package enum Phase: String, Sendable, CaseIterable {
        /// Behind another shard's: a node compacts one at a time.
        case waiting
        /// Live rows are being copied.
        case copying
        /// The new graphs are being built, while the writes of that time are applied.
        case indexing
        /// The last writes are being applied and the new generation swapped in; writers wait.
        case swapping
    }

    package var phase: Phase
    /// Rows.
    package var done: UInt64
    package var total: UInt64
}

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

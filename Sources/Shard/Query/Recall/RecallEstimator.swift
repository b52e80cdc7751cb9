internal import DataModel
internal import Synchronization
internal import VectorIndex

/// Learns the recall of one vector space's searches: takes a client's query now and then, which is compared with exact
/// answers in the background. A space that nobody searches costs nothing.
final class RecallEstimator: Sendable {
    private struct State {
        var table: RecallTable
        var isMeasuring = false
        /// Samples that no checkpoint has stored yet.
        var unstored = 0
        /// When the next measurement may begin.
        var next = ContinuousClock.now
    }

    /// The part of a core's time that measuring may take.
    private static let share = 0.02

    /// Between measurements, however quick they are.
    private let interval: Duration
    private let state: Mutex<State>

    init(_ table: RecallTable, interval: Duration) {
        state = Mutex(State(table: table))
        self.interval = interval
    }

    /// Whether the query at hand is to be measured; `finish` must follow then. Mostly it is not.
    func wantsQuery(now: ContinuousClock.Instant = .now) -> Bool {
        // Nobody waits: if another search holds the lock, this query is not needed.
        state.withLockIfAvailable { state in
            guard !state.isMeasuring, now >= state.next else { return false }
            state.isMeasuring = true
            return true
        } ?? false
    }

    /// - Parameter recalls: nil when there was nothing to measure.
    func finish(_ recalls: [[Double]]?, took: Duration, now: ContinuousClock.Instant = .now) {
        state.withLock { state in
            if let recalls {
                state.table.note(recalls)
                state.unstored += 1
            }
            state.next = now + max(interval, took * (1 / Self.share))
            state.isMeasuring = false
        }
    }

    func effort(for target: Double, limit: Int) -> RecallTable.Effort {
        state.withLock { $0.table.effort(for: target, limit: limit) }
    }

    /// Begins with what another generation of the shard learned: its graph is built of the same points by the same rules.
    func take(over other: RecallEstimator) {
        let table = other.state.withLock { $0.table }
        state.withLock { state in
            guard state.table.sampledQueries == 0 else { return }
            state.table = table
            state.unstored = table.sampledQueries
        }
    }

    // MARK: - Checkpoints

    /// Whether enough was learned since the last checkpoint to be worth another.
    var hasNews: Bool { state.withLock { $0.unstored >= RecallTable.fewestSamples } }

    /// The table to store; nil when it is stored as it is.
    func takeNews() -> RecallTable? {
        state.withLock { state in
            guard state.unstored > 0 else { return nil }
            state.unstored = 0
            return state.table
        }
    }

    /// What `takeNews` gave did not reach the disk.
    func noteUnstored() { state.withLock { $0.unstored += 1 } }
}

extension ShardGeneration {
    /// Takes a query of `dimension` floats, as the index compares it, to learn from, if it is time for one.
    func learn(from query: UnsafePointer<Float>, space: Int) {
        guard recall[space].wantsQuery() else { return }
        let copy = Array(UnsafeBufferPointer(start: query, count: schema.spaces[space].dimension))
        runtime.indexing.pool.submit { self.measureRecall(of: copy, space: space) }
    }

    private func measureRecall(of query: [Float], space: Int) {
        let start = ContinuousClock.now
        let view = view
        let deleted = view.deleted[space]
        let recalls = withExtendedLifetime((view, deleted)) {
            query.withUnsafeBufferPointer { buffer -> [[Double]]? in
                guard let base = buffer.baseAddress, !isClosed.load(ordering: .acquiring) else { return nil }
                return graphs[space].measureRecall(
                    query: base, depths: RecallTable.depths, efs: RecallTable.efs, visibleRows: view.slotCount,
                    deleted: deleted.rows)
            }
        }
        recall[space].finish(recalls, took: ContinuousClock.now - start)
    }
}

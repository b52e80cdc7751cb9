import CoreMetrics
import Metrics

/// What the coordinator counts.
struct CoordinatorMetrics: Sendable {
    private let queries = Counter(label: "shoal_queries_total")
    let queryTime = Metrics.Timer(label: "shoal_query_duration_seconds")
    private let writtenPoints = Counter(label: "shoal_written_points_total")
    let writeTime = Metrics.Timer(label: "shoal_write_duration_seconds")
    private let retriedReads = Counter(label: "shoal_read_retries_total")
    private let hedges = Counter(label: "shoal_hedged_reads_total")
    private let wonHedges = Counter(label: "shoal_hedges_won_total")
    private let partialReads = Counter(label: "shoal_partial_reads_total")
    private let staleReads = Counter(label: "shoal_stale_reads_total")
    private let retriedWrites = Counter(label: "shoal_write_retries_total")

    func countQueries(_ count: Int) { queries.increment(by: count) }
    func countWrittenPoints(_ count: Int) { writtenPoints.increment(by: count) }
    func countRetriedRead() { retriedReads.increment() }
    func countHedge() { hedges.increment() }
    func countWonHedge() { wonHedges.increment() }
    func countPartialRead() { partialReads.increment() }
    func countStaleRead() { staleReads.increment() }
    func countRetriedWrite() { retriedWrites.increment() }

    /// Runs `body` and records how long it took, whether or not it succeeded.
    func timing<Value>(
        _ timer: Metrics.Timer, _ body: () async throws(DatabaseError) -> Value
    ) async throws(DatabaseError) -> Value {
        let start = ContinuousClock.now
        defer { timer.record(duration: ContinuousClock.now - start) }
        return try await body()
    }
}

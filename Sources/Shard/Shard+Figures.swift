internal import LMDB
internal import Synchronization
internal import VectorIndex

/// What a shard, or all shards of a node together, keep and do.
package struct ShardFigures: Sendable, Equatable {
    package var points: UInt64 = 0
    package var unindexedRows: UInt64 = 0
    /// Rows whose links were taken over from another replica's graph.
    package var adoptedRows: UInt64 = 0
    package var deadRows: UInt64 = 0
    /// Rows that payload indexes still have to go through, those of each index counted.
    package var payloadIndexRowsLeft: UInt64 = 0
    package var diskBytes: UInt64 = 0
    package var logBytes: UInt64 = 0
    /// Blocks that changed since the last checkpoint, and the unfinished blocks of vectors: memory that the system cannot
    /// reclaim.
    package var overlayBytes: UInt64 = 0
    package var checkpoints: UInt64 = 0
    package var checkpointSeconds = 0.0
    package var compactions: UInt64 = 0
    package var failedCompactions: UInt64 = 0
    package var runningCompactions: UInt64 = 0

    package init() {}

    package static func += (total: inout Self, part: Self) {
        total.points += part.points
        total.unindexedRows += part.unindexedRows
        total.adoptedRows += part.adoptedRows
        total.deadRows += part.deadRows
        total.payloadIndexRowsLeft += part.payloadIndexRowsLeft
        total.diskBytes += part.diskBytes
        total.logBytes += part.logBytes
        total.overlayBytes += part.overlayBytes
        total.checkpoints += part.checkpoints
        total.checkpointSeconds += part.checkpointSeconds
        total.compactions += part.compactions
        total.failedCompactions += part.failedCompactions
        total.runningCompactions += part.runningCompactions
    }
}

extension Shard {
    /// For a scrape of the metrics, not for each request.
    package func figures() -> ShardFigures {
        let generation = generation
        var figures = ShardFigures()
        figures.points = generation.view.pointCount
        figures.unindexedRows = UInt64(generation.unindexedRows)
        figures.adoptedRows = generation.graphs.reduce(0) { $0 + $1.adoptedRowCount }
        figures.deadRows = deadRows
        figures.payloadIndexRowsLeft = payloadIndexRowsLeft
        figures.diskBytes = generation.store.environment.usedBytes + generation.index.environment.usedBytes
        figures.logBytes = generation.current.withLock { $0.state.logBytes }
        let columns = generation.vectors.map(\.column)
            + generation.graphs.flatMap { graph in GraphColumn.allCases.compactMap { graph.column($0) } }
        figures.overlayBytes = columns.reduce(0) { $0 + UInt64($1.heapBytes) }
        let checkpoints = generation.checkpointFigures.withLock { $0 }
        (figures.checkpoints, figures.checkpointSeconds) = (checkpoints.count, checkpoints.seconds)
        compaction.withLock { state in
            figures.compactions = state.completed
            figures.failedCompactions = state.failed
            figures.runningCompactions = state.progress == nil ? 0 : 1
        }
        return figures
    }
}

/// Checkpoints of a generation since it was opened.
final class CheckpointFigures: Sendable {
    private let state = Mutex((count: UInt64(0), seconds: 0.0))

    func note(_ duration: Duration) {
        let parts = duration.components
        state.withLock { state in
            state.count += 1
            state.seconds += Double(parts.seconds) + Double(parts.attoseconds) / 1e18
        }
    }

    func withLock<Result>(_ body: ((count: UInt64, seconds: Double)) -> Result) -> Result {
        state.withLock { body($0) }
    }
}

internal import DataModel
internal import LMDB
internal import Logging
internal import Synchronization
internal import VectorIndex

extension ShardGeneration {
    struct Checkpoints {
        /// Rows in all graphs at the last checkpoint, and when it was.
        var rows: UInt64
        var time: ContinuousClock.Instant
        /// After a failure, such as a full disk, when the next may begin.
        var notBefore = ContinuousClock.now
    }

    /// Rows that a checkpoint may lag behind: after a crash they are scanned until they are in the graph again. A larger
    /// graph is stored less often, since nearly all of its blocks change.
    private var checkpointRows: UInt64 { min(max(8_192, indexedRows / 8), 65_536) }

    /// Rows indexed since the last checkpoint are stored after this time without one.
    private static var checkpointInterval: Duration { .seconds(5) }
    /// What was learned of recall since the last checkpoint, after this time.
    private static var recallInterval: Duration { .seconds(60) }
    /// Between a checkpoint that failed and the next.
    private static var retryDelay: Duration { .seconds(1) }

    /// Rows in all graphs.
    private var indexedRows: UInt64 { graphs.reduce(0) { $0 + UInt64($1.count) } }

    /// Bytes of the graphs' blocks that are in memory only.
    var overlayBytes: Int {
        graphs.reduce(0) { sum, graph in
            GraphColumn.allCases.reduce(sum) { $0 + (graph.column($1)?.heapBytes ?? 0) }
        }
    }

    /// Whether indexing waits for a checkpoint.
    var isOverlayFull: Bool { overlayBytes >= options.maximumOverlayBytes }

    /// - Parameter idle: whether nothing is being indexed, so that what is there may as well be stored.
    func isCheckpointDue(idle: Bool) -> Bool {
        guard !isClosed.load(ordering: .acquiring) else { return false }
        // Nobody waits for the lock: if it is held, a checkpoint runs.
        return checkpointing.withLockIfAvailable { last in
            let (rows, now) = (indexedRows, ContinuousClock.now)
            guard now >= last.notBefore else { return false }
            // While one half is being stored, indexing goes on in the other.
            if rows >= last.rows + checkpointRows || overlayBytes >= options.maximumOverlayBytes / 2 { return true }
            guard idle else { return false }
            if rows > last.rows, now - last.time >= Self.checkpointInterval { return true }
            return now - last.time >= Self.recallInterval && recall.contains { $0.hasNews }
        } ?? false
    }

    /// Stores the graphs and publishes the stored blocks, unless a checkpoint runs already. Reads, writes and inserts go
    /// on, but for the moment in which the changed blocks are frozen.
    func checkpoint() {
        guard let isStored = checkpointing.withLockIfAvailable({ checkpoint(&$0) }) else { return }
        if isStored { resumeIndexing() }
    }

    /// Like `checkpoint`, but behind the one that runs: stores all that was indexed before the call.
    func checkpointAll() {
        if checkpointing.withLock({ checkpoint(&$0) }) { resumeIndexing() }
    }

    /// Calls the threads that found the overlay full.
    private func resumeIndexing() {
        indexing.submit(self)
    }

    /// - Returns: false when it failed, and is tried again later.
    private func checkpoint(_ last: inout Checkpoints) -> Bool {
        let start = ContinuousClock.now
        defer { checkpointFigures.note(.now - start) }
        var isStored = true
        do {
            try storeGraphs()
            // Here, since no checkpoint may hold blocks of the codes that this replaces; the next one stores the new.
            for graph in graphs where graph.codesHaveDrifted { try graph.retrainCodes() }
        } catch {
            logger.error("a checkpoint failed", metadata: ["shard": "\(files.folder)", "error": "\(error)"])
            isStored = false
            last.notBefore = ContinuousClock.now + Self.retryDelay
        }
        // After a failure too: the next try comes with the next rows, not at once.
        last.rows = indexedRows
        last.time = ContinuousClock.now
        return isStored
    }

    private func storeGraphs() throws {
        let changes = graphs.enumerated().map { GraphChanges(freezing: $1, space: $0) }
        let learned = recall.map { $0.takeNews() }
        do {
            try index.store(changes, recall: learned)
        } catch {
            for change in changes { change.thaw(graphs[change.space]) }
            for (estimator, table) in zip(recall, learned) where table != nil { estimator.noteUnstored() }
            throw error
        }
        let pin = try PinnedRead(index.environment)
        try pin.read { transaction in
            for change in changes {
                for block in change.blocks {
                    let mapped = try index.rows(of: block, space: change.space, transaction)
                    _ = graphs[change.space].column(block.column)?.replace(block.frozen, with: mapped)
                }
            }
        }
        var garbage: [any Sendable] = []
        for graph in graphs {
            for column in GraphColumn.allCases {
                if let retired = graph.column(column)?.takeRetired() { garbage.append(retired) }
            }
        }
        current.withLock { current in
            let next = ReadView(after: current.view, indexPin: pin)
            current.view.supersede(by: next, garbage: garbage)
            current.view = next
        }
    }
}

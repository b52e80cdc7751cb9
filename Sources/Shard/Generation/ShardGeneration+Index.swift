internal import DataModel
internal import Synchronization
internal import LMDB
internal import Logging
internal import VectorIndex

extension ShardGeneration {
    /// Rows that one turn of an indexing thread takes. Turns alternate between the generations that have rows to index:
    /// one that a compaction builds has to gain on the current one, even while writers keep that one busy.
    private var rowsPerTurn: Int { isBuilding.load(ordering: .relaxed) ? 128 : 32 }

    /// Whether there are rows to index: the space that is furthest behind.
    func claimBatch() -> Int? {
        guard !isClosed.load(ordering: .acquiring) else { return nil }
        let slots = view.slotCount
        guard let space = graphs.indices.min(by: { graphs[$0].count < graphs[$1].count }),
            graphs[space].count < slots
        else { return nil }
        return space
    }

    /// Puts some rows into the graph of `space`, on the calling thread.
    func index(_ space: Int) {
        for _ in 0..<rowsPerTurn {
            let view = view
            // The view keeps the blocks that the walk meets, and the set that it skips rows by.
            let inserted = withExtendedLifetime(view) {
                graphs[space].insertNext(below: view.slotCount, skipping: view.deleted[space].rows)
            }
            if inserted == nil { break }
        }
        room.update(unindexedRows: unindexedRows)
        if isCheckpointDue(idle: false) { checkpoint() }
    }

    /// Rows that a checkpoint may lag behind: after a crash they are scanned until they are in the graph again. A larger
    /// graph is stored less often, since nearly all of its blocks change.
    private var checkpointRows: UInt64 {
        min(max(8_192, graphs.reduce(0) { $0 + UInt64($1.count) } / 8), 65_536)
    }

    /// Rows indexed since the last checkpoint are stored after this time without one.
    private static var checkpointInterval: Duration { .seconds(5) }

    func isCheckpointDue(idle: Bool) -> Bool {
        guard !isClosed.load(ordering: .acquiring) else { return false }
        let rows = graphs.reduce(0) { $0 + UInt64($1.count) }
        // Nobody waits for the lock: if it is held, a checkpoint runs.
        return checkpointing.withLockIfAvailable { last in
            if rows >= last.rows + checkpointRows { return true }
            return idle && rows > last.rows && ContinuousClock.now - last.time >= Self.checkpointInterval
        } ?? false
    }

    /// Stores the graphs and publishes the stored blocks, unless a checkpoint runs already. Reads, writes and inserts go
    /// on, but for the moment in which the changed blocks are frozen.
    func checkpoint() {
        _ = checkpointing.withLockIfAvailable { last in checkpoint(&last) }
    }

    /// Like `checkpoint`, but behind the one that runs: stores all that was indexed before the call.
    func checkpointAll() {
        checkpointing.withLock { last in checkpoint(&last) }
    }

    private func checkpoint(_ last: inout Checkpoints) {
        let start = ContinuousClock.now
        defer { checkpointFigures.note(.now - start) }
        do {
            try storeGraphs()
            // Here, since no checkpoint may hold blocks of the codes that this replaces; the next one stores the new.
            for graph in graphs where graph.codesHaveDrifted { try graph.retrainCodes() }
        } catch {
            logger.error("a checkpoint failed", metadata: ["shard": "\(files.folder)", "error": "\(error)"])
        }
        // After a failure too: the next try comes with the next rows, not at once.
        last.rows = graphs.reduce(0) { $0 + UInt64($1.count) }
        last.time = ContinuousClock.now
    }

    private func storeGraphs() throws {
        let changes = graphs.enumerated().map { GraphChanges(freezing: $1, space: $0) }
        do {
            try index.store(changes)
        } catch {
            for change in changes { change.thaw(graphs[change.space]) }
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

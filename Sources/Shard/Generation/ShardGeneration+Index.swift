internal import DataModel
internal import Synchronization
internal import VectorIndex

extension ShardGeneration {
    /// Rows that one turn of an indexing thread takes. Turns alternate between the generations that have rows to index:
    /// one that a compaction builds has to gain on the current one, even while writers keep that one busy.
    private var rowsPerTurn: Int { isBuilding.load(ordering: .relaxed) ? 128 : 32 }

    /// Whether there are rows to index and memory to do it: the space that is furthest behind.
    func claimBatch() -> Int? {
        guard !isClosed.load(ordering: .acquiring) else { return nil }
        // The checkpoint that runs calls the indexing threads when it has made room; a turn begins one that does not run.
        if isOverlayFull, !isCheckpointDue(idle: false) { return nil }
        let slots = view.slotCount
        guard let space = graphs.indices.min(by: { graphs[$0].count < graphs[$1].count }),
            graphs[space].count < slots
        else { return nil }
        return space
    }

    /// Puts some rows into the graph of `space`, on the calling thread.
    func index(_ space: Int) {
        for _ in 0..<rowsPerTurn where !isOverlayFull {
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
}

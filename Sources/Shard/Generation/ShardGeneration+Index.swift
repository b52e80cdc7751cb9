internal import DataModel
internal import Dispatch
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
        if isCheckpointDue(idle: false) { indexing.submitCheckpoint(of: self) }
    }
}

// MARK: - How pressing it is

extension ShardGeneration {
    /// After a search that scanned rows, indexing is pressing for so long.
    private static var scanNanoseconds: UInt64 { 2_000_000_000 }
    /// After a write, it holds up more of them for so long.
    private static var writeNanoseconds: UInt64 { 500_000_000 }

    /// Whether rows are to be indexed although others need the processors: nobody writes any more, searches scan them,
    /// writers will soon wait for them, or a compaction would never end.
    var isIndexingPressing: Bool {
        if isBuilding.load(ordering: .relaxed) || unindexedRows >= options.maximumUnindexedRows / 2 { return true }
        let now = DispatchTime.now().uptimeNanoseconds
        return now >= lastWrite.load(ordering: .relaxed) + Self.writeNanoseconds || isScanned(at: now)
    }

    func noteWrite() { lastWrite.store(DispatchTime.now().uptimeNanoseconds, ordering: .relaxed) }

    private func isScanned(at now: UInt64) -> Bool {
        let last = lastScan.load(ordering: .relaxed)
        return last > 0 && now < last + Self.scanNanoseconds
    }

    /// Says that a search scans the rows that wait.
    func noteScan() {
        let now = DispatchTime.now().uptimeNanoseconds
        let wasScanned = isScanned(at: now)
        // Not each time: all searches would write into one place.
        if !isScanned(at: now + Self.scanNanoseconds / 2) { lastScan.store(now, ordering: .relaxed) }
        if !wasScanned { indexing.submit(self) }
    }
}

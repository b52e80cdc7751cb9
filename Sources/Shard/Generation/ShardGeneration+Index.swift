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
        if isOverlayFull {
            // It calls the indexing threads when it has made room.
            indexing.submitCheckpoint(of: self)
            return nil
        }
        let slots = view.slotCount
        return graphs.indices.filter { graphs[$0].claimedCount < indexableRows(of: $0, slots: slots).limit }
            .min { graphs[$0].claimedCount < graphs[$1].claimedCount }
    }

    /// Puts some rows into the graph of `space`, on the calling thread.
    ///
    /// - Parameter isIdle: whether the thread may be kept from the processors: then not one row more than that at hand when
    ///   others wait for them.
    func index(_ space: Int, isIdle: Bool) {
        let view = view
        let (limit, known) = indexableRows(of: space, slots: view.slotCount)
        // The view keeps the blocks that the walk meets, and the set that it skips rows by.
        withExtendedLifetime(view) {
            for _ in 0..<rowsPerTurn where !isOverlayFull && !(isIdle && isIndexingAwaited) {
                let next = graphs[space].claimedCount
                let inserted = graphs[space].insertNext(
                    below: limit, skipping: view.deleted[space].rows, known: known.first { $0.end > next })
                if inserted == nil { break }
            }
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
    /// Rows wait for idle processors no longer.
    private static var waitNanoseconds: UInt64 { 10_000_000_000 }

    /// Whether rows are to be indexed although others need the processors: nobody writes any more, searches scan them,
    /// writers will soon wait for them, they have waited long, or a compaction would never end.
    var isIndexingPressing: Bool {
        isBuilding.load(ordering: .relaxed) || unindexedRows >= options.maximumUnindexedRows / 2 || isIndexingAwaited
    }

    /// Those of the reasons that come with time. Takes no lock, which an idle thread might keep.
    private var isIndexingAwaited: Bool {
        let now = DispatchTime.now().uptimeNanoseconds
        return now >= lastWrite.load(ordering: .relaxed) + Self.writeNanoseconds
            || now >= firstWait.load(ordering: .relaxed) + Self.waitNanoseconds
            || now < lastScan.load(ordering: .relaxed) + Self.scanNanoseconds
    }

    /// To be called before the rows of a write can be seen.
    func noteWrite() {
        let now = DispatchTime.now().uptimeNanoseconds
        lastWrite.store(now, ordering: .relaxed)
        if unindexedRows == 0 { firstWait.store(now, ordering: .relaxed) }
    }

    /// Says that a search scans the rows that wait.
    func noteScan() {
        let (now, last) = (DispatchTime.now().uptimeNanoseconds, lastScan.load(ordering: .relaxed))
        // Not each time: all searches would write into one place.
        if now >= last + Self.scanNanoseconds / 2 { lastScan.store(now, ordering: .relaxed) }
        if now >= last + Self.scanNanoseconds { indexing.submit(self) }
    }
}

internal import DataModel
internal import Foundation
internal import LMDB
internal import Logging
internal import Synchronization
internal import VectorIndex

/// Why a compaction ended without a new generation, where nothing is wrong.
struct CompactionCancelled: Error {}

/// One rewriting of a shard without its dead rows.
///
/// Copies the live rows and the log of a pinned state into the next generation, lets the indexing threads build its
/// graphs, and follows the log meanwhile. All on one thread of low priority; the last writes and the swap are the shard's
/// (`Shard.compactNow`), on its writer's queue.
final class Compaction {
    let source: ShardGeneration
    let target: ShardGeneration
    private let building: GenerationFiles
    /// Asked often; false ends the work.
    private let isWanted: () -> Bool
    private let progress: (CompactionProgress) -> Void

    /// Log that is read and applied at a time.
    static let batchBytes = 4 << 20
    /// Less than this is left for the swap, for which writers wait.
    private static let closeBytes = 256 << 10
    /// Rows without a place in the new graph that are worth waiting for: each search scans them.
    private static let closeRows = 256
    /// Each time that the log is followed costs a sync, which competes with those of the writers.
    private static let followInterval: TimeInterval = 0.1
    /// Without any progress in this time the compaction gives up, so that it does not stand in the way of other shards'.
    private static let patience: Duration = .seconds(60)

    init(
        of source: ShardGeneration, isWanted: @escaping () -> Bool, progress: @escaping (CompactionProgress) -> Void
    ) throws {
        self.source = source
        self.isWanted = isWanted
        self.progress = progress
        building = source.files.next
        try building.remove()
        target = try ShardGeneration(
            building, schema: source.schema, options: source.options, runtime: source.runtime, logger: source.logger)
    }

    func report(_ phase: CompactionProgress.Phase, _ done: Int, of total: Int) throws {
        guard isWanted() else { throw CompactionCancelled() }
        progress(CompactionProgress(phase: phase, done: UInt64(done), total: UInt64(total)))
    }

    /// Follows the log until only little is left, and the graphs hold nearly all rows.
    ///
    /// - Parameter moved: told up to where the log is no longer needed.
    func follow(moved: (SequenceNumber) -> Void) throws {
        var lastProgress = (rows: -1, time: ContinuousClock.now)
        while true {
            let bytes = try applyLog()
            moved(target.position.sequence)
            let (rows, waiting) = (Int(target.view.slotCount), target.unindexedRows)
            try report(.indexing, rows - waiting, of: rows)
            if bytes < Self.closeBytes, waiting <= max(source.unindexedRows, Self.closeRows) { return }
            if rows - waiting != lastProgress.rows { lastProgress = (rows - waiting, .now) }
            guard .now - lastProgress.time < Self.patience else {
                throw ShardError.storage(
                    reason: "\(waiting) of \(rows) rows wait to be indexed, and none was for \(Self.patience)")
            }
            if bytes < Self.batchBytes {
                target.runtime.indexing.submit(target)
                Thread.sleep(forTimeInterval: Self.followInterval)
            }
        }
    }

    /// Applies the next writes of the log, about `batchBytes` at most.
    ///
    /// - Returns: about how many bytes they had; 0 when there were none.
    func applyLog() throws -> Int {
        guard let records = try source.logRecords(after: target.position.sequence, maxBytes: Self.batchBytes) else {
            throw ShardError.storage(reason: "the log was trimmed before the compaction could follow it")
        }
        guard !records.isEmpty else { return 0 }
        try target.commit { commit, transaction in
            for record in records { try commit.apply(record, transaction) }
        }
        return records.reduce(0) { $0 + $1.operation.estimatedBytes }
    }

    /// Gives the new generation the payload indexes that the source has now: at first, when all its rows are still to
    /// come, and before it is swapped in.
    func takePayloadIndexes() throws {
        let wanted = try source.store.environment.read { try source.store.loadPayloadIndexes($0) }
            .entries.filter(\.isMaintained).map(\.config)
        let (store, slotCount) = (target.store, target.view.slotCount)
        var catalog = try store.environment.read { try store.loadPayloadIndexes($0) }
        guard catalog.reconcile(with: wanted, slotCount: slotCount) else { return }
        try store.environment.write { try store.save(catalog, $0) }
    }

    /// Makes the new generation the one that is found on disk.
    ///
    /// - Precondition: it holds every write.
    func complete() throws {
        precondition(target.position == source.position)
        if target.options.durability == .interval { try target.store.environment.sync() }
        try building.complete()
        target.isBuilding.store(false, ordering: .relaxed)
    }

    /// Removes what was built.
    func abandon() {
        target.isClosed.store(true, ordering: .releasing)
        do {
            try building.remove()
        } catch {
            source.logger.warning("a cancelled compaction's files are left over", metadata: ["error": "\(error)"])
        }
    }
}

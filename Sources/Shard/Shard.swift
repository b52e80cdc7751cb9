package import DataModel
internal import LMDB
package import Logging
internal import Synchronization
package import VectorIndex

/// One replica of a physical shard: points, their vectors and payloads, a log of writes, and a graph per vector space, in
/// memory-mapped LMDB environments.
///
/// A write is on disk when `append` or `apply` returns, and every search that starts then sees it. Searches and writes do
/// not wait for each other. The data belongs to the current `ShardGeneration`, which a compaction replaces.
package final class Shard: Sendable {
    package let schema: ShardSchema
    package let folder: String
    let options: ShardOptions
    let runtime: ShardRuntime
    let logger: Logger

    /// Group commits run here, one at a time; LMDB binds a write transaction to a thread, and each commit keeps to one.
    let writer: SerialQueue
    let queue = Mutex(WriteQueue())
    let state: Mutex<State>
    let compaction = Mutex(CompactionState())
    /// When a verification was last begun; at first, when the shard was opened.
    let lastVerified = Mutex(ContinuousClock.now)
    private let damage = Mutex<String?>(nil)
    let isClosed = Atomic<Bool>(false)
    let isSyncScheduled = Atomic<Bool>(false)
    let isBuildingPayloadIndexes = Atomic<Bool>(false)

    struct State {
        /// Replaced on the writer's queue only.
        var generation: ShardGeneration
        /// The log is kept after this sequence for replicas that need it.
        var retention: SequenceNumber?
        /// ... and after this one for the compaction that follows it.
        var compacted: SequenceNumber?

        var neededLog: SequenceNumber? { [retention, compacted].compactMap(\.self).min() }
    }

    /// Opens the shard in `folder`, or creates it there.
    ///
    /// Maps the data without reading it, then reads the writes of the unfinished vector block from the log: bounded by
    /// 256 rows. Rows that are not in a graph yet are scanned by searches, while the graph takes them over.
    ///
    /// - Throws: `corrupted` when the files are damaged, `outOfSpace`, or `storage`.
    package static func open(
        folder: String, schema: ShardSchema, options: ShardOptions, runtime: ShardRuntime, logger: Logger
    ) throws(ShardError) -> Shard {
        let shard = try storing {
            try Shard(folder: folder, schema: schema, options: options, runtime: runtime, logger: logger)
        }
        runtime.register(shard)
        runtime.indexing.submit(shard.generation)
        shard.continuePayloadIndexes()
        return shard
    }

    private init(
        folder: String, schema: ShardSchema, options: ShardOptions, runtime: ShardRuntime, logger: Logger
    ) throws {
        (self.folder, self.schema, self.options, self.runtime) = (folder, schema, options, runtime)
        self.logger = logger
        let files = GenerationFiles.current(in: folder)
            ?? GenerationFiles(shard: folder, number: GenerationFiles.first)
        try GenerationFiles.removeAll(but: files)
        let generation = try ShardGeneration(
            files, schema: schema, options: options, runtime: runtime, logger: logger)
        state = Mutex(State(generation: generation))
        writer = SerialQueue(runtime.writing)
    }

    /// What new reads go to; a read keeps to the one that it began with.
    var generation: ShardGeneration { state.withLock { $0.generation } }

    /// By space. Package-wide, so that a benchmark can compare the graph alone with its peers.
    package var graphs: [HNSWGraph] { generation.graphs }
}

// MARK: - State

extension Shard {
    /// The last write that is committed.
    package var position: LogPosition { generation.position }

    /// Rows that are not in every graph yet.
    package var unindexedRows: Int { generation.unindexedRows }

    /// The epoch in which `sequence` was written; nil when it is older than the history that is kept.
    package func epoch(of sequence: SequenceNumber) -> Epoch? {
        generation.current.withLock { sequence > $0.state.position.sequence ? nil : $0.epochs.epoch(of: sequence) }
    }

    /// The log keeps everything after this sequence, as far as `maximumPinnedLogBytes` allows; nil ends the need.
    package func setLogRetention(after sequence: SequenceNumber?) {
        state.withLock { $0.retention = sequence }
    }

    /// What was found that is not what was written, by whoever met it first: the shard should not be answered from.
    package var knownDamage: String? { damage.withLock { $0 } }

    func noteDamage(_ error: ShardError) {
        guard case .corrupted(let reason) = error else { return }
        let isNews = damage.withLock { damage in
            defer { damage = damage ?? reason }
            return damage == nil
        }
        if isNews { logger.error("damaged data", metadata: ["shard": "\(folder)", "reason": "\(reason)"]) }
    }

    package func status() -> ReplicaStatus {
        let generation = generation
        let view = generation.view
        let indexed = generation.graphs.reduce(UInt64(view.slotCount)) { min($0, UInt64($1.count)) }
        return ReplicaStatus(
            position: view.position, points: view.pointCount, indexedRows: indexed,
            unindexedRows: UInt64(view.slotCount) - indexed,
            diskBytes: generation.store.environment.usedBytes + generation.index.environment.usedBytes,
            // What cannot be read shows up where it is needed.
            payloadIndexes: (try? payloadIndexes()) ?? [], deadRows: deadRows,
            logBytes: generation.current.withLock { $0.state.logBytes }, compaction: compactionProgress)
    }

    /// Log records after `sequence`, up to about `maxBytes`, at least one; none when there are none. Nil when the log does
    /// not reach back that far.
    package func logRecords(after sequence: SequenceNumber, maxBytes: Int) throws(ShardError) -> [LogRecord]? {
        let generation = generation
        do throws(ShardError) {
            return try storing { try generation.logRecords(after: sequence, maxBytes: maxBytes) }
        } catch {
            noteDamage(error)
            throw error
        }
    }
}

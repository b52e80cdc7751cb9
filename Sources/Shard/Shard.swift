package import DataModel
internal import Dispatch
internal import Foundation
internal import LMDB
package import Logging
internal import Synchronization
package import VectorIndex

/// One replica of a physical shard: points, their vectors and payloads, a log of writes, and a graph per vector space, in
/// two memory-mapped LMDB environments.
///
/// A write is on disk when `append` or `apply` returns, and every search that starts then sees it. Searches and writes do
/// not wait for each other.
package final class Shard: Sendable {
    package let schema: ShardSchema
    package let folder: String
    let options: ShardOptions
    let runtime: ShardRuntime
    let logger: Logger

    let store: PointStore
    let index: IndexStore
    /// By space.
    let vectors: [VectorRows]
    /// By space. Package-wide, so that a benchmark can compare the graph alone with its peers.
    package let graphs: [HNSWGraph]

    /// Group commits run here, one at a time; LMDB binds a write transaction to a thread, and each commit keeps to one.
    let writer: DispatchQueue
    let queue = Mutex(WriteQueue())
    let current: Mutex<Current>
    /// Held by the one checkpoint that may run.
    let checkpointing: Mutex<Checkpoints>
    let isQueuedForIndexing = Atomic<Bool>(false)
    let isClosed = Atomic<Bool>(false)
    let isSyncScheduled = Atomic<Bool>(false)
    let room: RoomGate

    /// What the last group commit left, replaced as a whole by the next.
    struct Current {
        var view: ReadView
        var state: PointsState
        var epochs: EpochHistory
        /// The log is kept after this sequence for replicas that need it.
        var retention: SequenceNumber?
    }

    struct Checkpoints {
        /// Rows in all graphs at the last checkpoint, and when it was.
        var rows: UInt64
        var time: ContinuousClock.Instant
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
        runtime.indexing.submit(shard)
        return shard
    }

    private init(
        folder: String, schema: ShardSchema, options: ShardOptions, runtime: ShardRuntime, logger: Logger
    ) throws {
        (self.folder, self.schema, self.options, self.runtime) = (folder, schema, options, runtime)
        self.logger = logger
        let pointsFolder = folder + "/points"
        let indexFolder = folder + "/index"
        for path in [pointsFolder, indexFolder] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        store = try PointStore(folder: pointsFolder, options: options)
        try store.checkSchema(schema)
        let recovered = try Recovery(store: store, schema: schema)
        vectors = recovered.vectors
        (index, graphs) = try Self.openIndex(
            folder: indexFolder, schema: schema, vectors: vectors, rows: recovered.state.slotCount, options: options,
            logger: logger)
        let pin = try PinnedRead(index.environment)
        let view = ReadView(state: recovered.state, deleted: recovered.deleted, indexPin: pin)
        current = Mutex(Current(view: view, state: recovered.state, epochs: recovered.epochs, retention: nil))
        checkpointing = Mutex(Checkpoints(rows: graphs.reduce(0) { $0 + UInt64($1.count) }, time: .now))
        writer = DispatchQueue(label: "shoal.shard.writer")
        room = RoomGate(limit: options.maximumUnindexedRows)
    }
}

// MARK: - State

extension Shard {
    /// The last write that is committed.
    package var position: LogPosition { current.withLock { $0.state.position } }

    /// Rows that are not in every graph yet.
    package var unindexedRows: Int {
        let slots = view.slotCount
        return graphs.reduce(0) { max($0, Int(slots) - Int(min($1.count, slots))) }
    }

    /// The epoch in which `sequence` was written; nil when it is older than the history that is kept.
    package func epoch(of sequence: SequenceNumber) -> Epoch? {
        current.withLock { sequence > $0.state.position.sequence ? nil : $0.epochs.epoch(of: sequence) }
    }

    /// The log keeps everything after this sequence, as far as `maximumPinnedLogBytes` allows; nil ends the need.
    package func setLogRetention(after sequence: SequenceNumber?) {
        current.withLock { $0.retention = sequence }
    }

    package func status() -> ReplicaStatus {
        let view = view
        let indexed = graphs.reduce(UInt64(view.slotCount)) { min($0, UInt64($1.count)) }
        return ReplicaStatus(
            position: view.position, points: view.pointCount, indexedRows: indexed,
            unindexedRows: UInt64(view.slotCount) - indexed,
            diskBytes: store.environment.usedBytes + index.environment.usedBytes)
    }

    var view: ReadView { current.withLock { $0.view } }

    /// Log records after `sequence`, up to about `maxBytes`, at least one; none when there are none. Nil when the log does
    /// not reach back that far.
    package func logRecords(after sequence: SequenceNumber, maxBytes: Int) throws(ShardError) -> [LogRecord]? {
        try storing {
            try store.environment.read { transaction in
                let state = try store.loadState(transaction)
                guard sequence.next >= state.firstLogged else { return nil }
                var records: [LogRecord] = []
                var bytes = 0
                try store.forEachLogEntry(from: sequence.next, transaction) { _, value in
                    records.append(try LogEntry(value).record)
                    bytes += value.count
                    return bytes < maxBytes
                }
                return records
            }
        }
    }

    /// Removes a shard's files. The shard must be closed.
    package static func destroy(folder: String) throws(ShardError) {
        try storing {
            if FileManager.default.fileExists(atPath: folder) { try FileManager.default.removeItem(atPath: folder) }
        }
    }
}

// MARK: - Opening the index

extension Shard {
    /// Opens the graphs. A graph that cannot be used is only a view: it is thrown away and built anew, while searches
    /// scan.
    private static func openIndex(
        folder: String, schema: ShardSchema, vectors: [VectorRows], rows: UInt32, options: ShardOptions, logger: Logger
    ) throws -> (IndexStore, [HNSWGraph]) {
        do {
            return try openIndexFiles(folder: folder, schema: schema, vectors: vectors, rows: rows, options: options)
        } catch let error where isDamage(error) {
            logger.error("the index is damaged and is built anew", metadata: ["folder": "\(folder)", "error": "\(error)"])
            try FileManager.default.removeItem(atPath: folder)
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            return try openIndexFiles(folder: folder, schema: schema, vectors: vectors, rows: rows, options: options)
        }
    }

    private static func isDamage(_ error: any Error) -> Bool {
        if error is VectorIndexError { return true }
        if case .corrupted = ShardError(storage: error) { return true }
        return false
    }

    private static func openIndexFiles(
        folder: String, schema: ShardSchema, vectors: [VectorRows], rows: UInt32, options: ShardOptions
    ) throws -> (IndexStore, [HNSWGraph]) {
        let index = try IndexStore(folder: folder, options: options)
        let graphs = try schema.spaces.enumerated().map { number, space in
            try HNSWGraph(
                parameters: .init(m: space.hnsw.m, efConstruct: space.hnsw.efConstruct, seed: UInt64(number)),
                metric: Metric(space.distance), dimension: space.dimension, vectors: vectors[number].column,
                maximumRows: Limits.rowsPerShard)
        }
        try index.environment.read { transaction in
            for (number, graph) in graphs.enumerated() { try index.restore(graph, space: number, transaction) }
        }
        guard graphs.allSatisfy({ $0.count <= rows }) else {
            throw ShardError.corrupted(reason: "the index holds rows that `points` does not have")
        }
        return (index, graphs)
    }
}

internal import DataModel
internal import Foundation
internal import LMDB
internal import Logging
internal import Synchronization
internal import VectorIndex

/// The files of a shard and what reads and writes them: a pair of LMDB environments, and a graph per vector space.
///
/// A shard has one current generation. A compaction builds the next one beside it and swaps it in; searches that began on
/// the former end there.
final class ShardGeneration: Sendable {
    /// Its place when it is complete.
    let files: GenerationFiles
    let schema: ShardSchema
    let options: ShardOptions
    let runtime: ShardRuntime
    let logger: Logger

    let store: PointStore
    let index: IndexStore
    /// By space.
    let vectors: [VectorRows]
    /// By space.
    let checkedBlocks: [CheckedBlocks]
    /// By space.
    let graphs: [HNSWGraph]
    /// By space.
    let recall: [RecallEstimator]
    let filterCache = FilterCache()
    let requests: RequestMemory

    let current: Mutex<Current>
    /// Held by the one checkpoint that may run.
    let checkpointing: Mutex<Checkpoints>
    /// By space: what another replica's graph tells of the rows that wait for this one's.
    let followed: Mutex<[FollowedLinks]>
    let isQueuedForIndexing = Flag()
    let isQueuedForIdleIndexing = Flag()
    let isQueuedForCheckpoint = Flag()
    /// When the last group was committed, by the uptime in nanoseconds; 0 for never.
    let lastWrite = Atomic<UInt64>(0)
    /// When the first of the rows that wait for the graph was committed, by the same clock.
    let firstWait = Atomic<UInt64>(0)
    /// When a search last scanned rows that wait for the graph, by the same clock.
    let lastScan = Atomic<UInt64>(0)
    /// Set when the shard is closed or another generation is current: no work is begun on this one any more.
    let isClosed = Atomic<Bool>(false)
    /// Until a compaction has made it the current one.
    let isBuilding: Atomic<Bool>
    /// While the shard is filled from others: it is in no hurry.
    let isFilling = Atomic<Bool>(false)
    let room: RoomGate
    let checkpointFigures = CheckpointFigures()

    /// What the last group commit left, replaced as a whole by the next.
    struct Current {
        var view: ReadView
        var state: PointsState
        var epochs: EpochHistory
        var layout: RowLayout
    }

    /// Opens the generation in `files`, or creates it there.
    init(
        _ files: GenerationFiles, schema: ShardSchema, options: ShardOptions, runtime: ShardRuntime, logger: Logger
    ) throws {
        (self.schema, self.options, self.runtime, self.logger) = (schema, options, runtime, logger)
        self.files = files.completed
        requests = RequestMemory(limit: options.rememberedWrites)
        isBuilding = Atomic(files.isBuilding)
        try files.create()
        store = try PointStore(folder: files.points, options: options)
        try store.checkSchema(schema)
        let recovered = try Recovery(store: store, schema: schema)
        vectors = recovered.vectors
        checkedBlocks = try vectors.map { try CheckedBlocks(space: $0.space) }
        (index, graphs) = try Self.openIndex(
            folder: files.index, schema: schema, vectors: vectors, rows: recovered.state.slotCount, options: options,
            logger: logger)
        let index = index
        let tables = try index.environment.read { transaction in
            try schema.spaces.indices.map { try index.recallTable(space: $0, transaction) }
        }
        recall = tables.map { RecallEstimator($0, interval: options.recallInterval) }
        let pin = try PinnedRead(index.environment)
        let view = ReadView(state: recovered.state, deleted: recovered.deleted, indexPin: pin)
        current = Mutex(
            Current(view: view, state: recovered.state, epochs: recovered.epochs, layout: recovered.layout))
        checkpointing = Mutex(Checkpoints(rows: graphs.reduce(0) { $0 + UInt64($1.count) }, time: .now))
        followed = Mutex(Array(repeating: FollowedLinks(), count: schema.spaces.count))
        room = RoomGate(limit: options.maximumUnindexedRows)
    }

    /// The threads that build its graphs.
    var indexing: IndexingPool { isFilling.load(ordering: .relaxed) ? runtime.filling : runtime.indexing }

    var position: LogPosition { current.withLock { $0.state.position } }

    var view: ReadView { current.withLock { $0.view } }

    /// Rows that are not in every graph yet.
    var unindexedRows: Int {
        let slots = view.slotCount
        return graphs.reduce(0) { max($0, Int(slots) - Int(min($1.count, slots))) }
    }
}

// MARK: - The log

extension ShardGeneration {
    /// Log records after `sequence`, up to about `maxBytes`, at least one; none when there are none. Nil when the log does
    /// not reach back that far.
    func logRecords(after sequence: SequenceNumber, maxBytes: Int) throws -> [LogRecord]? {
        try store.environment.read { transaction in
            let state = try store.loadState(transaction)
            guard sequence.next >= state.firstLogged else { return nil }
            var records: [LogRecord] = []
            var bytes = 0
            try store.forEachLogEntry(from: sequence.next, transaction) { sequence, value in
                records.append(try LogEntry(value, sequence: sequence).record)
                bytes += value.count
                return bytes < maxBytes
            }
            return records
        }
    }
}

// MARK: - Opening the index

extension ShardGeneration {
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
                raw: vectors[number].raw, quantization: space.effectiveQuantization, maximumRows: Limits.rowsPerShard)
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

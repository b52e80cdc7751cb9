internal import DataModel
internal import Foundation
internal import Logging
internal import Shard
internal import VectorIndex

/// The whole shard: the points are written durably, then it is opened anew, and queries walk mapped blocks and fetch ids
/// and payloads of their ten results.
struct ShardSubject: Subject {
    let dataset: Dataset
    /// Where the shard is; of this process when it makes one for itself.
    let folder: String
    private let runtime: ShardRuntime
    private(set) var shard: Shard?
    /// The rows whose points were deleted.
    private(set) var deleted: Set<UInt32> = []

    private static let batch = 1_000

    /// Where shards are that belong to this process and are removed at its end.
    static var temporaryFolder: String {
        FileManager.default.temporaryDirectory.path + "/shoal-index-benchmark-\(getpid())"
    }

    init(dataset: Dataset, threads: Int, folder: String) {
        self.dataset = dataset
        self.folder = folder
        runtime = ShardRuntime(searchThreads: 1, indexingThreads: threads)
    }

    mutating func build(m: Int, efConstruct: Int) async throws -> Cost {
        await shard?.close()
        shard = nil
        deleted = []
        try? FileManager.default.removeItem(atPath: folder)
        let stopwatch = Stopwatch()
        let shard = try openShard(m: m, efConstruct: efConstruct)
        try await write(Array(0..<UInt32(dataset.count)), to: shard)
        let cost = stopwatch.cost
        await shard.close()
        self.shard = try openShard(m: m, efConstruct: efConstruct)
        return cost
    }

    func close() async { await shard?.close() }

    func search(ef: Int) async throws -> Outcome {
        guard let shard else { return .nothing }
        // As a node's requests do: on the threads that search.
        return try await withTaskExecutorPreference(runtime.searchExecutor) { try await search(shard, ef: ef) }
    }

    private func search(_ shard: Shard, ef: Int) async throws -> Outcome {
        var answers: [[UInt32]] = []
        let stopwatch = Stopwatch()
        for query in 0..<dataset.queryCount { answers.append(try await found(by: query, ef: ef, in: shard)) }
        let cost = stopwatch.cost
        return Outcome(cost: cost, recall: dataset.recall(answers) { !deleted.contains($0) })
    }

    /// The rows that one query finds.
    func found(by query: Int, ef: Int, in shard: Shard) async throws -> [UInt32] {
        let width = dataset.dimension
        let request = SearchRequest(
            space: "", vector: Array(dataset.queries[query * width..<(query + 1) * width]), limit: Dataset.k, ef: ef,
            withPayload: true)
        return try await shard.search([request], deadline: .after(.seconds(600)))[0].points.map { point in
            if case .number(let id) = point.record.id { UInt32(id) } else { .max }
        }
    }

    private func openShard(m: Int, efConstruct: Int) throws -> Shard {
        let space = VectorSpace(
            name: "", dimension: dataset.dimension, distance: .cosine, hnsw: HNSWConfig(m: m, efConstruct: efConstruct))
        // By the command only: what is measured is to be known.
        let options = ShardOptions(compaction: CompactionOptions(deadFraction: 2))
        return try Shard.open(
            folder: folder, schema: ShardSchema(CollectionConfig(spaces: [space])), options: options,
            runtime: runtime, logger: Logger(label: "index-benchmark"))
    }

    private func point(_ row: UInt32) -> Point {
        let width = dataset.dimension
        let first = Int(row) * width
        let json = #"{"row":\#(row),"text":"a payload of about a hundred bytes, as a gloss of WordNet has"}"#
        return Point(
            id: .number(UInt64(row)), vectors: NamedVectors(Array(dataset.base[first..<first + width])),
            payload: Payload(json: Array(json.utf8)))
    }
}

// MARK: - Commands of a shard's own

extension ShardSubject {
    mutating func answer(_ command: String, _ numbers: [Int]) async throws -> [String: Double]? {
        switch (command, numbers.count) {
        case ("walk", 1): return shard.map { dataset.measure($0.graphs[0], ef: numbers[0]).fields(dataset) }
        case ("open", 2): return try await open(m: numbers[0], efConstruct: numbers[1])
        case ("delete", 2): try await delete(permille: numbers[0], seed: UInt64(numbers[1]))
        case ("remove", _): try await delete(numbers.map { UInt32($0) })
        case ("update", 1): try await update(seed: UInt64(numbers[0]))
        case ("compact", 0):
            let stopwatch = Stopwatch()
            try await shard?.compact()
            return ["seconds": stopwatch.cost.wallSeconds, "processor_seconds": stopwatch.cost.processorSeconds]
        case ("state", 0): break
        default: return nil
        }
        guard let status = shard?.status() else { return nil }
        return ["points": Double(status.points), "used_bytes": Double(status.diskBytes)]
    }

    /// Opens the shard that an earlier process left, and answers the first query.
    private mutating func open(m: Int, efConstruct: Int) async throws -> [String: Double] {
        let stopwatch = Stopwatch()
        let shard = try openShard(m: m, efConstruct: efConstruct)
        let opened = stopwatch.cost.wallSeconds
        let found = try await found(by: 0, ef: SearchRequest.defaultEf, in: shard)
        let answered = stopwatch.cost.wallSeconds
        self.shard = shard
        let hits = Set(found).intersection(dataset.nearest(to: 0)).count
        return ["opened_seconds": opened, "answered_seconds": answered, "recall": Double(hits) / Double(Dataset.k)]
    }

    /// Writes the points of the rows durably and waits until the graph has them.
    private func write(_ rows: [UInt32], to shard: Shard) async throws {
        for first in stride(from: 0, to: rows.count, by: Self.batch) {
            try await shard.waitForRoom(deadline: .after(.seconds(600)))
            let points = rows[first..<min(first + Self.batch, rows.count)].map(point)
            _ = try await shard.append(.upsert(points), epoch: Epoch(1))
        }
        while shard.unindexedRows > 0 { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// Deletes a share of the points, chosen at random.
    private mutating func delete(permille: Int, seed: UInt64) async throws {
        var generator = SplitMix(state: seed)
        try await delete((0..<UInt32(dataset.count)).filter { _ in generator.next() % 1_000 < UInt64(permille) })
    }

    private mutating func delete(_ chosen: [UInt32]) async throws {
        guard let shard else { return }
        for first in stride(from: 0, to: chosen.count, by: Self.batch) {
            let ids = chosen[first..<min(first + Self.batch, chosen.count)].map { PointID.number(UInt64($0)) }
            _ = try await shard.append(.delete(ids), epoch: Epoch(1))
        }
        deleted.formUnion(chosen)
    }

    /// Writes each point that is left once more, in random order.
    private mutating func update(seed: UInt64) async throws {
        guard let shard else { return }
        var generator = SplitMix(state: seed)
        let rows = (0..<UInt32(dataset.count)).filter { !deleted.contains($0) }.shuffled(using: &generator)
        try await write(rows, to: shard)
    }
}

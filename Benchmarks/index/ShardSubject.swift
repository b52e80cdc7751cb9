internal import DataModel
internal import Foundation
internal import Logging
internal import Shard
internal import VectorIndex

/// The same through LMDB: the points are written to a shard durably, and after it was opened anew its graph walks mapped
/// blocks.
struct ShardSubject: Subject {
    /// Whether a query goes through the whole shard, with ids and payloads fetched for the ten results.
    let isWhole: Bool
    let dataset: Dataset
    private let folder: String
    private let runtime = ShardRuntime(searchThreads: 1, indexingThreads: 1)
    private var shard: Shard?

    private static let batch = 1_000

    init(dataset: Dataset, isWhole: Bool) {
        self.dataset = dataset
        self.isWhole = isWhole
        folder = FileManager.default.temporaryDirectory.path + "/shoal-index-benchmark-\(getpid())"
    }

    func removeFiles() { try? FileManager.default.removeItem(atPath: folder) }

    mutating func build(m: Int, efConstruct: Int) async throws -> Double {
        await shard?.close()
        shard = nil
        removeFiles()
        let start = clock()
        let shard = try open(m: m, efConstruct: efConstruct)
        for first in stride(from: 0, to: dataset.count, by: Self.batch) {
            try await shard.waitForRoom(deadline: .after(.seconds(600)))
            let points = (first..<min(first + Self.batch, dataset.count)).map(point)
            _ = try await shard.append(.upsert(points), epoch: Epoch(1))
        }
        while shard.unindexedRows > 0 { try await Task.sleep(for: .milliseconds(5)) }
        let seconds = Double(clock() - start) / Double(CLOCKS_PER_SEC)
        await shard.close()
        self.shard = try open(m: m, efConstruct: efConstruct)
        return seconds
    }

    func search(ef: Int) async throws -> Outcome {
        guard let shard else { return Outcome(seconds: .infinity, recall: 0) }
        guard isWhole else { return dataset.measure(shard.graphs[0], ef: ef) }
        // As a node's requests do: on the threads that search.
        return try await withTaskExecutorPreference(runtime.searchExecutor) { try await searchWhole(shard, ef: ef) }
    }

    private func searchWhole(_ shard: Shard, ef: Int) async throws -> Outcome {
        var answers: [[ScoredPoint]] = []
        let width = dataset.dimension
        let start = clock()
        for query in 0..<dataset.queryCount {
            let request = SearchRequest(
                space: "", vector: Array(dataset.queries[query * width..<(query + 1) * width]), limit: Dataset.k,
                ef: ef, withPayload: true)
            answers += try await shard.search([request], deadline: .after(.seconds(60))).map(\.points)
        }
        let seconds = Double(clock() - start) / Double(CLOCKS_PER_SEC)
        let ids = answers.map { answer in
            answer.map { point -> UInt32 in
                if case .number(let id) = point.record.id { UInt32(id) } else { .max }
            }
        }
        return Outcome(seconds: seconds, recall: dataset.recall(ids))
    }

    private func open(m: Int, efConstruct: Int) throws -> Shard {
        let space = VectorSpace(
            name: "", dimension: dataset.dimension, distance: .cosine, hnsw: HNSWConfig(m: m, efConstruct: efConstruct))
        return try Shard.open(
            folder: folder, schema: ShardSchema(CollectionConfig(spaces: [space])), options: ShardOptions(),
            runtime: runtime, logger: Logger(label: "index-benchmark"))
    }

    private func point(_ row: Int) -> Point {
        let width = dataset.dimension
        return Point(
            id: .number(UInt64(row)), vectors: NamedVectors(Array(dataset.base[row * width..<(row + 1) * width])),
            payload: Payload(json: Array(#"{"row":\#(row),"text":"a payload of about a hundred bytes, as a gloss of WordNet has"}"#.utf8)))
    }
}

internal import DataModel
internal import Foundation
internal import Logging
internal import Shard
internal import VectorIndex

/// Filtered searches through a whole shard, against an exact scan of the rows that pass and against a search without a
/// filter.
///
/// Each row has two indexed numbers, 0 ..< 1,000: `random` at random, and `place`, its rank along the direction in which
/// the vectors differ most.
struct FilterSubject {
    /// Which rows pass.
    enum Place: String {
        /// Any.
        case random
        /// Those of the query's own part of the space.
        case near
        /// Those at the other end of it.
        case far
    }

    private struct Round {
        var seconds = 0.0
        var answers: [SearchAnswer] = []
    }

    let dataset: Dataset
    private let folder: String
    private let runtime = ShardRuntime(searchThreads: 1, indexingThreads: 2)
    private var shard: Shard?
    /// Of each query, its place.
    private let queryPlaces: [Int]
    private let rowPlaces: [Int]

    private static let batch = 1_000
    private static let steps = 1_000

    init(dataset: Dataset) {
        self.dataset = dataset
        folder = FileManager.default.temporaryDirectory.path + "/shoal-filter-benchmark-\(getpid())"
        let axis = Axis(dataset)
        let projections = (0..<dataset.count).map { axis.projection(dataset.base, row: $0) }
        let sorted = projections.sorted()
        func place(_ projection: Float) -> Int {
            var (low, high) = (0, sorted.count)
            while low < high {
                let middle = (low + high) / 2
                if sorted[middle] < projection { low = middle + 1 } else { high = middle }
            }
            return min(low * Self.steps / sorted.count, Self.steps - 1)
        }
        rowPlaces = projections.map(place)
        queryPlaces = (0..<dataset.queryCount).map { place(axis.projection(dataset.unitQueries, row: $0)) }
    }

    func removeFiles() { try? FileManager.default.removeItem(atPath: folder) }

    mutating func answerCommands() async throws {
        reply(["ready": true])
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            switch words.first {
            case "build" where words.count == 3:
                try await build(m: Int(words[1]) ?? 16, efConstruct: Int(words[2]) ?? 128)
                reply(["rows": dataset.count])
            case "filter" where words.count == 4:
                guard let permille = Int(words[1]), let place = Place(rawValue: words[2]), let count = Int(words[3])
                else { fallthrough }
                reply(try await measure(permille: permille, place, queries: min(count, dataset.queryCount)))
            default:
                reply(["error": "unknown command"])
            }
        }
        await shard?.close()
    }

    private mutating func build(m: Int, efConstruct: Int) async throws {
        let space = VectorSpace(
            name: "", dimension: dataset.dimension, distance: .cosine, hnsw: HNSWConfig(m: m, efConstruct: efConstruct))
        let shard = try Shard.open(
            folder: folder, schema: ShardSchema(CollectionConfig(spaces: [space])), options: ShardOptions(),
            runtime: runtime, logger: Logger(label: "index-benchmark"))
        self.shard = shard
        try await shard.setPayloadIndexes(
            ["random", "place"].map { PayloadIndexConfig(path: PayloadPath($0), kind: .integer) })
        var generator = SplitMix(state: 1)
        for first in stride(from: 0, to: dataset.count, by: Self.batch) {
            try await shard.waitForRoom(deadline: .after(.seconds(600)))
            let points = (first..<min(first + Self.batch, dataset.count)).map { point($0, &generator) }
            _ = try await shard.append(.upsert(points), epoch: Epoch(1))
        }
        while shard.unindexedRows > 0 { try await Task.sleep(for: .milliseconds(5)) }
    }

    private func point(_ row: Int, _ generator: inout SplitMix) -> Point {
        let width = dataset.dimension
        let random = Int.random(in: 0..<Self.steps, using: &generator)
        return Point(
            id: .number(UInt64(row)), vectors: NamedVectors(Array(dataset.base[row * width..<(row + 1) * width])),
            payload: Payload(json: Array(#"{"random":\#(random),"place":\#(rowPlaces[row])}"#.utf8)))
    }

    /// One round of each way; recall is against the scan.
    private func measure(permille: Int, _ place: Place, queries: Int) async throws -> [String: Any] {
        let filters = (0..<queries).map { filter(permille: permille, place, query: $0) }
        let filtered = try await round(filters.map { (filter: $0, isExact: false) })
        let scanned = try await round(filters.map { (filter: $0, isExact: true) })
        let unfiltered = try await round(filters.map { _ in (filter: nil, isExact: false) })
        var (hits, wanted) = (0, 0)
        for (answer, truth) in zip(filtered.answers, scanned.answers) {
            let ids = Set(truth.points.map(\.record.id))
            wanted += ids.count
            hits += answer.points.count { ids.contains($0.record.id) }
        }
        var strategies: [String: Int] = [:]
        for answer in filtered.answers { strategies[answer.profile?.strategy.rawValue ?? "", default: 0] += 1 }
        func rate(_ round: Round) -> Double { Double(queries) / round.seconds }
        return [
            "recall": Double(hits) / Double(max(wanted, 1)), "strategies": strategies,
            "queries_per_second": rate(filtered), "scans_per_second": rate(scanned),
            "unfiltered_per_second": rate(unfiltered),
        ]
    }

    private func filter(permille: Int, _ place: Place, query: Int) -> Filter {
        let first: Int
        switch place {
        case .random: first = 0
        case .near: first = queryPlaces[query] - permille / 2
        case .far: first = queryPlaces[query] < Self.steps / 2 ? Self.steps - permille : 0
        }
        let start = min(max(first, 0), Self.steps - permille)
        let range = NumberRange(gte: Double(start), lt: Double(start + permille))
        return Filter(must: [.field(PayloadPath(place == .random ? "random" : "place"), .range(range))])
    }

    private func round(_ searches: [(filter: Filter?, isExact: Bool)]) async throws -> Round {
        guard let shard else { return Round() }
        var round = Round()
        let width = dataset.dimension
        let start = clock()
        for (query, search) in searches.enumerated() {
            let request = SearchRequest(
                space: "", vector: Array(dataset.queries[query * width..<(query + 1) * width]), limit: Dataset.k,
                exact: search.isExact, filter: search.filter, profile: true)
            round.answers += try await shard.search([request], deadline: .after(.seconds(60)))
        }
        round.seconds = Double(clock() - start) / Double(CLOCKS_PER_SEC)
        return round
    }

    private func reply(_ values: [String: Any]) {
        guard let json = try? JSONSerialization.data(withJSONObject: values) else { return }
        print(String(decoding: json, as: UTF8.self))
        fflush(nil)
    }
}

/// The direction of the greatest variance, by power iteration over a part of the rows.
private struct Axis {
    private var direction: [Float]
    private let dimension: Int

    init(_ dataset: Dataset) {
        dimension = dataset.dimension
        direction = (0..<dimension).map { $0 % 2 == 0 ? 1 : -0.5 }
        let rows = stride(from: 0, to: dataset.count, by: max(1, dataset.count / 4_000))
        var mean = [Float](repeating: 0, count: dimension)
        for row in rows { for index in 0..<dimension { mean[index] += dataset.base[row * dimension + index] } }
        let count = Float(Array(rows).count)
        for _ in 0..<12 {
            let shift = zip(mean, direction).reduce(0) { $0 + $1.0 * $1.1 } / max(count, 1)
            var next = [Float](repeating: 0, count: dimension)
            for row in rows {
                let weight = projection(dataset.base, row: row) - shift
                for index in 0..<dimension {
                    next[index] += weight * (dataset.base[row * dimension + index] - mean[index] / max(count, 1))
                }
            }
            let length = next.reduce(0) { $0 + $1 * $1 }.squareRoot()
            direction = next.map { $0 / length }
        }
    }

    func projection(_ rows: [Float], row: Int) -> Float {
        var sum: Float = 0
        for index in 0..<dimension { sum += rows[row * dimension + index] * direction[index] }
        return sum
    }
}

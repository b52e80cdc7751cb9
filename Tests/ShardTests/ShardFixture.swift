import DataModel
import Foundation
import Logging
import Shard
import Testing

/// A shard in a folder of its own, removed with it.
final class ShardFixture {
    let folder: String
    let schema: ShardSchema
    var options: ShardOptions
    let runtime: ShardRuntime

    init(
        spaces: [VectorSpace] = [VectorSpace(name: "", dimension: 16, distance: .euclid)],
        options: ShardOptions = ShardOptions(pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30)
    ) throws {
        folder = FileManager.default.temporaryDirectory.path + "/shoal-shard-\(UUID().uuidString)"
        schema = ShardSchema(CollectionConfig(spaces: spaces))
        self.options = options
        runtime = ShardRuntime(searchThreads: 2, indexingThreads: 2)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit {
        runtime.shutdown()
        try? FileManager.default.removeItem(atPath: folder)
    }

    func open(_ name: String = "shard") throws -> Shard {
        try Shard.open(
            folder: folder + "/" + name, schema: schema, options: options, runtime: runtime,
            logger: Logger(label: "test"))
    }
}

/// A small, fast generator with a seed, so that a failure repeats.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    // SplitMix64 (Steele, Lea & Flood 2014).
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func vector(_ dimension: Int) -> [Float] {
        (0..<dimension).map { _ in Float.random(in: -1...1, using: &self) }
    }
}

func point(_ id: UInt64, _ vector: [Float], payload: String = "{}") -> Point {
    Point(id: .number(id), vectors: NamedVectors(vector), payload: Payload(json: Array(payload.utf8)))
}

/// Polls until `condition` holds.
func eventually(
    within limit: Duration = .seconds(30), _ condition: () async throws -> Bool
) async throws -> Bool {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        await Task.yield()
    }
    return false
}

let soon = Duration.seconds(60)

extension Shard {
    @discardableResult
    func upsert(_ points: [Point], epoch: UInt64 = 1) async throws -> LogRecord {
        try await append(.upsert(points), epoch: Epoch(epoch))
    }

    @discardableResult
    func delete(_ ids: [PointID]) async throws -> LogRecord {
        try await append(.delete(ids), epoch: Epoch(1))
    }

    func nearest(
        _ vector: [Float], limit: Int = 10, exact: Bool = false, space: String = "", excluded: [PointID] = [],
        threshold: Float? = nil
    ) async throws -> [ScoredPoint] {
        let request = SearchRequest(
            space: space, vector: vector, limit: limit, scoreThreshold: threshold, exact: exact, excluded: excluded,
            withPayload: true, withVectors: .all)
        return try await search([request], deadline: .after(soon))[0].points
    }

    func all() async throws -> [Record] {
        try await scroll(
            ScrollRequest(start: nil, limit: 1_000_000, withPayload: true, withVectors: .all), deadline: .after(soon))
    }

    /// The share of the ten exact neighbours that a search finds, over 100 queries.
    func recall() async throws -> Double {
        var generator = SeededGenerator(seed: 77)
        var found = 0
        for _ in 0..<100 {
            let query = generator.vector(16)
            let exact = Set(try await nearest(query, exact: true).map(\.record.id))
            found += try await nearest(query).count { exact.contains($0.record.id) }
        }
        return Double(found) / 1_000
    }
}

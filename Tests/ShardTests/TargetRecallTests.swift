import DataModel
import Foundation
import Shard
import Testing

@Suite struct TargetRecallTests {
    private static let dimension = 32
    private static let k = 10

    /// A shard with a poor graph, in which effort matters, and rows around centres as queries are.
    private static func open(rows: Int) async throws -> (ShardFixture, Shard, [[Float]]) {
        let space = VectorSpace(
            name: "", dimension: dimension, distance: .euclid, hnsw: HNSWConfig(m: 4, efConstruct: 16, exactScanRows: 0))
        let fixture = try ShardFixture(
            spaces: [space],
            options: ShardOptions(pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30, recallInterval: .zero))
        let shard = try fixture.open()
        var generator = SeededGenerator(seed: 5)
        let vectors = (0..<rows).map { _ in generator.vector(dimension) }
        for first in stride(from: 0, to: rows, by: 1_000) {
            let points = (first..<min(first + 1_000, rows)).map { point(UInt64($0), vectors[$0]) }
            _ = try await shard.append(.upsert(points), epoch: Epoch(1))
        }
        try await eventually { shard.unindexedRows == 0 }
        return (fixture, shard, vectors)
    }

    private static func eventually(_ condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(240)
        while !condition() {
            try #require(ContinuousClock.now < deadline, "the condition did not come true in time")
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private static func truth(_ query: [Float], _ vectors: [[Float]]) -> Set<PointID> {
        var distances: [(id: UInt64, distance: Float)] = []
        for (id, vector) in vectors.enumerated() {
            var sum: Float = 0
            for index in vector.indices {
                let difference = vector[index] - query[index]
                sum += difference * difference
            }
            distances.append((UInt64(id), sum))
        }
        distances.sort { $0.distance < $1.distance }
        return Set(distances.prefix(k).map { PointID.number($0.id) })
    }

    private static func search(_ shard: Shard, _ query: [Float], recall: Double) async throws -> SearchAnswer {
        let request = SearchRequest(space: "", vector: query, limit: k, recall: recall, profile: true)
        return try await shard.search([request], deadline: .after(.seconds(120)))[0]
    }

    @Test func searchesReachTheRecallThatTheyAskForOnceTheShardHasLearned() async throws {
        let (fixture, shard, vectors) = try await Self.open(rows: 3_000)
        defer { withExtendedLifetime(fixture) {} }
        var generator = SeededGenerator(seed: 6)
        let first = try await Self.search(shard, generator.vector(Self.dimension), recall: 0.9)
        #expect(first.profile?.expectedRecall == nil, "nothing is promised before anything was measured")

        let deadline = ContinuousClock.now + .seconds(240)
        while try await Self.search(shard, generator.vector(Self.dimension), recall: 0.9).profile?.sampledQueries ?? 0 < 60 {
            try #require(ContinuousClock.now < deadline, "the shard did not learn in time")
        }
        var efforts: [Int] = []
        for target in [0.6, 0.75, 0.9] {
            var (hits, queries) = (0, 0)
            var profile: SearchProfile?
            for _ in 0..<150 {
                let query = generator.vector(Self.dimension)
                let answer = try await Self.search(shard, query, recall: target)
                profile = answer.profile
                let nearest = Self.truth(query, vectors)
                hits += answer.points.count { nearest.contains($0.record.id) }
                queries += 1
            }
            let recall = Double(hits) / Double(queries * Self.k)
            let expected = try #require(profile?.expectedRecall)
            efforts.append(try #require(profile?.ef))
            #expect(recall >= target - 0.05, "\(target): \(recall) with ef \(efforts.last ?? 0)")
            #expect(abs(recall - expected) < 0.08, "the profile is honest: \(expected), and it was \(recall)")
        }
        #expect(efforts == efforts.sorted() && efforts[0] < efforts[2], "more recall takes more effort: \(efforts)")
        await shard.close()
    }

    @Test func whatWasLearnedOutlivesARestartAndACompaction() async throws {
        let (fixture, shard, _) = try await Self.open(rows: 2_000)
        defer { withExtendedLifetime(fixture) {} }
        var generator = SeededGenerator(seed: 7)
        let deadline = ContinuousClock.now + .seconds(240)
        while try await Self.search(shard, generator.vector(Self.dimension), recall: 0.8).profile?.sampledQueries ?? 0 < 30 {
            try #require(ContinuousClock.now < deadline, "the shard did not learn in time")
        }
        let learned = try await Self.search(shard, generator.vector(Self.dimension), recall: 0.8)
        await shard.close()
        let reopened = try fixture.open()
        let recalled = try await Self.search(reopened, generator.vector(Self.dimension), recall: 0.8)
        #expect(recalled.profile?.sampledQueries ?? 0 >= learned.profile?.sampledQueries ?? 0)
        #expect(abs((recalled.profile?.ef ?? 0) - (learned.profile?.ef ?? 0)) <= 8)
        #expect(abs((recalled.profile?.expectedRecall ?? 0) - 0.8) < 0.1)
        try await reopened.compact()
        let compacted = try await Self.search(reopened, generator.vector(Self.dimension), recall: 0.8)
        #expect(compacted.profile?.sampledQueries ?? 0 >= 30)
        await reopened.close()
    }

    /// What was learned is of searches without a filter: a filtered one takes more effort than they, and promises nothing.
    @Test func aFilteredSearchIsOnTheSafeSideAndPromisesNothing() async throws {
        let (fixture, shard, vectors) = try await Self.open(rows: 3_000)
        defer { withExtendedLifetime(fixture) {} }
        var generator = SeededGenerator(seed: 8)
        let deadline = ContinuousClock.now + .seconds(240)
        while try await Self.search(shard, generator.vector(Self.dimension), recall: 0.8).profile?.sampledQueries ?? 0 < 30 {
            try #require(ContinuousClock.now < deadline, "the shard did not learn in time")
        }
        // Ids are rows: a slice of ids passes.
        let ids = (0..<3_000).filter { $0 % 2 == 0 }.map { PointID.number(UInt64($0)) }
        let allowed = vectors.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
        let plain = try await Self.search(shard, generator.vector(Self.dimension), recall: 0.8)
        var (hits, queries) = (0, 0)
        for _ in 0..<60 {
            let query = generator.vector(Self.dimension)
            let request = SearchRequest(
                space: "", vector: query, limit: Self.k, recall: 0.8, filter: Filter(must: [.hasID(ids)]), profile: true)
            let answer = try await shard.search([request], deadline: .after(.seconds(120)))[0]
            #expect(answer.profile?.expectedRecall == nil)
            #expect(answer.profile?.ef ?? 0 > plain.profile?.ef ?? 0)
            let nearest = Set(Self.truth(query, allowed).compactMap { id -> PointID? in
                if case .number(let row) = id { .number(row * 2) } else { nil }
            })
            hits += answer.points.count { nearest.contains($0.record.id) }
            queries += 1
        }
        let recall = Double(hits) / Double(queries * Self.k)
        #expect(recall >= 0.8, "\(recall)")
        await shard.close()
    }
}

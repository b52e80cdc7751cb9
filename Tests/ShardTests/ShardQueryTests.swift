import DataModel
import Foundation
import Shard
import Testing

@Suite struct ShardQueryTests {
    @Test(arguments: Distance.allCases)
    func scoresAndOrderAreThoseOfTheDistance(distance: Distance) async throws {
        let fixture = try ShardFixture(spaces: [VectorSpace(name: "", dimension: 16, distance: distance)])
        var generator = SeededGenerator(seed: 6)
        let vectors = (0..<100).map { _ in generator.vector(16) }
        let shard = try fixture.open()
        try await shard.upsert(vectors.enumerated().map { point(UInt64($0), $1) })
        let query = generator.vector(16)
        let expected = vectors.enumerated().map { (UInt64($0), reference(distance, query, $1)) }
            .sorted { distance.isNearer($0.1, than: $1.1) }
        let found = try await shard.nearest(query)
        #expect(found.map(\.record.id) == expected.prefix(10).map { .number($0.0) })
        for (a, b) in zip(found, expected) { #expect(abs(a.score - b.1) < 1e-4) }
        let cut = try await shard.nearest(query, threshold: expected[4].1 + (distance.largerIsNearer ? -1e-5 : 1e-5))
        #expect(cut.count == 5)
        await shard.close()
    }

    private func reference(_ distance: Distance, _ a: [Float], _ b: [Float]) -> Float {
        let dot = zip(a, b).reduce(Float(0)) { $0 + $1.0 * $1.1 }
        switch distance {
        case .dot: return dot
        case .cosine:
            let norm = { (v: [Float]) in v.reduce(Float(0)) { $0 + $1 * $1 }.squareRoot() }
            return dot / (norm(a) * norm(b))
        case .euclid: return zip(a, b).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        case .manhattan: return zip(a, b).reduce(Float(0)) { $0 + abs($1.0 - $1.1) }
        }
    }

    @Test func recallStaysAbove95WhileRowsMoveFromTheTailIntoTheGraphAndAfterReopening() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 7)
        let shard = try fixture.open()
        let points = (0..<6_000).map { point(UInt64($0), generator.vector(16)) }
        let queries = (0..<50).map { _ in generator.vector(16) }
        for start in stride(from: 0, to: points.count, by: 500) {
            try await shard.upsert(Array(points[start..<start + 500]))
            try await expectRecall(shard, queries)
        }
        #expect(try await eventually { shard.unindexedRows == 0 })
        try await expectRecall(shard, queries)
        _ = try await shard.append(.delete((0..<3_000).map { .number($0 * 2) }), epoch: Epoch(1))
        try await expectRecall(shard, queries)
        await shard.close()

        let reopened = try fixture.open()
        #expect(reopened.unindexedRows == 0)
        try await expectRecall(reopened, queries)
        await reopened.close()
    }

    private func expectRecall(_ shard: Shard, _ queries: [[Float]]) async throws {
        var hits = 0
        for query in queries {
            let exact = Set(try await shard.nearest(query, exact: true).map(\.record.id))
            let found = try await shard.nearest(query).map(\.record.id)
            #expect(found.count == min(10, Int(shard.count())))
            hits += found.count { exact.contains($0) }
        }
        #expect(Double(hits) / Double(queries.count * 10) >= 0.95)
    }

    @Test func pointsWithoutAVectorInASpaceAreNotFoundThere() async throws {
        let fixture = try ShardFixture(spaces: [
            VectorSpace(name: "image", dimension: 8, distance: .dot),
            VectorSpace(name: "text", dimension: 16, distance: .cosine),
        ])
        var generator = SeededGenerator(seed: 8)
        let shard = try fixture.open()
        var points: [Point] = []
        for id in 0..<2_000 as Range<UInt64> {
            var vectors = NamedVectors()
            if id % 2 == 0 { vectors["image"] = generator.vector(8) }
            if id % 3 == 0 { vectors["text"] = generator.vector(16) }
            points.append(Point(id: .number(id), vectors: vectors, payload: .empty))
        }
        try await shard.upsert(points)
        #expect(try await eventually { shard.unindexedRows == 0 })
        for _ in 0..<2 {
            let found = try await shard.nearest(generator.vector(8), limit: 2_000, space: "image")
            #expect(found.count == 1_000)
            #expect(found.allSatisfy { $0.record.vectors?["image"] != nil })
            #expect(try await shard.nearest(generator.vector(16), limit: 20, space: "text").count == 20)
        }
        let request = RetrieveRequest(ids: [.number(1), .number(3)], withPayload: false, withVectors: .all)
        let records = try await shard.retrieve(request, deadline: .after(soon))
        #expect(records[0].vectors?.isEmpty == true)
        #expect(records[1].vectors?.entries.map(\.name) == ["text"])
        await #expect(throws: ShardError.self) { try await shard.nearest([1], space: "audio") }
        await shard.close()
    }

    @Test func scrollMergesVirtualShardsInOrderOfIDs() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 9)
        let shard = try fixture.open()
        var ids: [PointID] = (0..<500).map { .number($0 * 3) }
        ids += (0..<300).map { _ in .uuid(high: generator.next(), low: generator.next()) }
        try await shard.upsert(
            ids.map { Point(id: $0, vectors: NamedVectors(generator.vector(16)), payload: .empty) }.shuffled(using: &generator))
        ids.sort()
        for (start, limit) in [(nil, 1_000), (PointID.number(31), 40), (.number(1_498), 5), (.uuid(high: 1 << 62, low: 0), 50)] {
            let request = ScrollRequest(start: start, limit: limit, withPayload: false, withVectors: .none)
            let expected = ids.filter { start == nil || $0 >= start ?? $0 }.prefix(limit)
            #expect(try await shard.scroll(request, deadline: .after(soon)).map(\.id) == Array(expected))
        }
        await shard.close()
    }

    @Test func anExcludedPointIsReplacedByTheNextNearest() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 10)
        let shard = try fixture.open()
        try await shard.upsert((0..<50).map { point($0, generator.vector(16)) })
        let query = generator.vector(16)
        let all = try await shard.nearest(query, limit: 11).map(\.record.id)
        let found = try await shard.nearest(query, limit: 10, excluded: [all[3]]).map(\.record.id)
        #expect(found == all.filter { $0 != all[3] })
        await shard.close()
    }

    /// A batch once ended the process: an optimised build ran into an instruction that must not be reached.
    @Test func aBatchAnswersEachSearchInOrderAndFailsAsAWhole() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 13)
        let shard = try fixture.open()
        try await shard.upsert((0..<200).map { point($0, generator.vector(16)) })
        let queries = (0..<40).map { _ in generator.vector(16) }
        var requests = queries.map { SearchRequest(space: "", vector: $0, limit: 5) }
        let answers = try await shard.search(requests, deadline: .after(soon))
        for (query, answer) in zip(queries, answers) {
            #expect(try await shard.nearest(query, limit: 5).map(\.record.id) == answer.points.map(\.record.id))
        }
        #expect(try await shard.search([], deadline: .after(soon)).isEmpty)
        requests[7].vector = [1]
        await #expect(throws: ShardError.self) { try await shard.search(requests, deadline: .after(soon)) }
        await shard.close()
    }

    @Test func aSearchPastItsDeadlineIsRefused() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        let request = SearchRequest(space: "", vector: [Float](repeating: 0, count: 16), limit: 1)
        await #expect(throws: ShardError.deadlineExceeded) {
            try await shard.search([request], deadline: .after(.seconds(-1)))
        }
        await shard.close()
    }
}

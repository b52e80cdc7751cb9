import DataModel
import Foundation
import Shard
import Testing

/// A shard with payload indexes answers as one without, which looks at each payload.
struct PayloadIndexTests {
    static let indexes = SeededGenerator.fields.map {
        PayloadIndexConfig(path: PayloadPath($0.name), kind: $0.kind)
    }

    private static func points(_ ids: Range<UInt64>, _ generator: inout SeededGenerator) -> [Point] {
        ids.map { point($0, generator.vector(8), payload: generator.payload()) }
    }

    private static func fixture() throws -> ShardFixture {
        try ShardFixture(spaces: [
            VectorSpace(name: "", dimension: 8, distance: .euclid, hnsw: HNSWConfig(exactScanRows: 0))
        ])
    }

    private static func waitForIndexes(_ shard: Shard) async throws {
        #expect(try await eventually { try shard.payloadIndexes().allSatisfy { $0.progress == 1 } })
    }

    private static func ids(
        _ shard: Shard, _ filter: Filter, vector: [Float], limit: Int, exact: Bool
    ) async throws -> [PointID] {
        let request = SearchRequest(space: "", vector: vector, limit: limit, exact: exact, filter: filter)
        return try await shard.search([request], deadline: .after(soon))[0].points.map(\.record.id)
    }

    private static func expectEqualAnswers(
        _ shard: Shard, _ plain: Shard, filters: Int, seed: UInt64
    ) async throws {
        var generator = SeededGenerator(seed: seed)
        for number in 0..<filters {
            let filter = generator.filter()
            let vector = generator.vector(8)
            let expected = try await ids(plain, filter, vector: vector, limit: 10_000, exact: true)
            let found = try await ids(shard, filter, vector: vector, limit: 10_000, exact: true)
            #expect(found == expected, "seed \(seed), filter \(number): \(filter)")
            for shard in [shard, plain] {
                let nearest = try await ids(shard, filter, vector: vector, limit: 10, exact: false)
                #expect(nearest.count == min(10, expected.count), "seed \(seed), filter \(number): \(filter)")
                #expect(Set(nearest).isSubset(of: expected))
            }
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func answersAreThoseWithoutIndexes(seed: UInt64) async throws {
        let fixture = try Self.fixture()
        let (shard, plain) = (try fixture.open("indexed"), try fixture.open("plain"))
        var generator = SeededGenerator(seed: seed)
        // Some indexes are there from the start, others are built over rows.
        try await shard.setPayloadIndexes(Array(Self.indexes.prefix(3)))
        for round in 0..<6 {
            let first = UInt64(round) * 250
            let writes = Self.points(first..<first + 300, &generator)
            let deletions = (0..<30).map { _ in PointID.number(UInt64(generator.int(0..<1_500))) }
            for shard in [shard, plain] {
                try await shard.upsert(writes)
                _ = try await shard.append(.delete(deletions), epoch: Epoch(1))
            }
            if round == 3 { try await shard.setPayloadIndexes(Self.indexes) }
        }
        try await Self.waitForIndexes(shard)
        try await Self.expectEqualAnswers(shard, plain, filters: 120, seed: seed)

        await shard.close()
        let reopened = try fixture.open("indexed")
        try await Self.expectEqualAnswers(reopened, plain, filters: 20, seed: seed + 100)
        await reopened.close()
        await plain.close()
    }

    /// What was computed for a filter serves the next search with it, with a few rows more, then with many.
    @Test func theSameFiltersGetRightAnswersBetweenWrites() async throws {
        let fixture = try Self.fixture()
        let (shard, plain) = (try fixture.open("indexed"), try fixture.open("plain"))
        var generator = SeededGenerator(seed: 31)
        try await shard.setPayloadIndexes(Self.indexes)
        var writes = Self.points(0..<1_500, &generator)
        for round in 0..<14 {
            let deletions = (0..<10).map { _ in PointID.number(UInt64(generator.int(0..<1_500))) }
            for shard in [shard, plain] {
                try await shard.upsert(writes)
                if round > 0 { _ = try await shard.append(.delete(deletions), epoch: Epoch(1)) }
            }
            try await Self.expectEqualAnswers(shard, plain, filters: 40, seed: 32)
            let first = UInt64(generator.int(0..<1_500))
            writes = Self.points(first..<first + (round % 5 == 4 ? 70 : 17), &generator)
        }
        await shard.close()
        await plain.close()
    }

    @Test func aBuildThatACrashCutShortGoesOn() async throws {
        let fixture = try Self.fixture()
        let (shard, plain) = (try fixture.open("shard"), try fixture.open("plain"))
        var generator = SeededGenerator(seed: 7)
        for first in stride(from: UInt64(0), to: 12_000, by: 1_000) {
            let points = Self.points(first..<first + 1_000, &generator)
            try await shard.upsert(points)
            try await plain.upsert(points)
        }
        try await shard.setPayloadIndexes(Self.indexes)
        #expect(try await eventually { try shard.payloadIndexes().allSatisfy { $0.progress > 0 } })
        // One state of the files, as a crash would leave it.
        _ = try await shard.copySnapshot(to: fixture.folder + "/copy")
        let crashed = try fixture.open("copy")
        print("progress at the crash: \(try crashed.payloadIndexes().map(\.progress))")
        let points = Self.points(11_500..<12_500, &generator)
        try await crashed.upsert(points)
        try await plain.upsert(points)
        try await Self.waitForIndexes(crashed)
        try await Self.expectEqualAnswers(crashed, plain, filters: 25, seed: 8)
        for shard in [shard, plain, crashed] { await shard.close() }
    }

    @Test func droppedIndexesGoAwayAndComeBack() async throws {
        let fixture = try Self.fixture()
        let (shard, plain) = (try fixture.open("indexed"), try fixture.open("plain"))
        var generator = SeededGenerator(seed: 4)
        let points = Self.points(0..<1_000, &generator)
        try await shard.setPayloadIndexes(Self.indexes)
        try await shard.upsert(points)
        try await plain.upsert(points)
        try await shard.setPayloadIndexes([])
        #expect(try shard.payloadIndexes().isEmpty)
        try await Self.expectEqualAnswers(shard, plain, filters: 15, seed: 5)
        try await shard.setPayloadIndexes(Self.indexes)
        try await Self.waitForIndexes(shard)
        try await Self.expectEqualAnswers(shard, plain, filters: 25, seed: 6)
        await shard.close()
        await plain.close()
    }

    @Test func textIndexesFindTokens() async throws {
        let fixture = try Self.fixture()
        let shard = try fixture.open()
        try await shard.setPayloadIndexes([
            PayloadIndexConfig(path: PayloadPath("word"), kind: .text),
            PayloadIndexConfig(
                path: PayloadPath("prefix"), kind: .text,
                text: .init(tokenizer: .prefix, minimumTokenLength: 2, maximumTokenLength: 4)),
        ])
        let texts = ["The quick brown fox", "a QUICK-witted brown bear", "brown, quick; fox!", "nothing", ""]
        try await shard.upsert(
            texts.enumerated().map { index, text in
                point(
                    UInt64(index), [Float](repeating: 1, count: 8),
                    payload: #"{"word":"\#(text)","prefix":["\#(text)"]}"#)
            })
        func found(_ path: String, _ test: FieldTest) async throws -> Set<PointID> {
            let filter = Filter(must: [.field(PayloadPath(path), test)])
            return Set(
                try await Self.ids(shard, filter, vector: [Float](repeating: 0, count: 8), limit: 10, exact: false))
        }
        #expect(try await found("word", .text("quick fox")) == [.number(0), .number(2)])
        #expect(try await found("word", .text("qui")) == [])
        #expect(try await found("word", .text("")) == [])
        #expect(try await found("word", .textAny("bear fox")) == [.number(0), .number(1), .number(2)])
        #expect(try await found("word", .phrase("Brown fox")) == [.number(0)])
        #expect(try await found("word", .phrase("brown quick")) == [.number(2)])
        #expect(try await found("prefix", .text("qui fo")) == [.number(0), .number(2)])
        #expect(try await found("prefix", .text("brownie")) == [.number(0), .number(1), .number(2)])
        await shard.close()
    }
}

import DataModel
import Shard
import Testing

@Suite struct DeleteByFilterTests {
    private static let filter = Filter(must: [.field(PayloadPath("k"), .any([.integer(1)]))])

    private static func mark(_ point: Point) -> Bool { point.payload == Payload(json: Array(#"{"k":1}"#.utf8)) }

    /// Upserts that make points pass and fail again, deletes by filter and compactions, all at once: each delete in the
    /// log is of exactly the points that passed at its place in the log.
    @Test func aDeleteByFilterTakesExactlyWhatPassesAtItsPlaceInTheOrder() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<3 {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(40 + writer))
                    for _ in 0..<150 {
                        let points = (0..<10).map { _ in
                            point(
                                .random(in: 0..<2_000, using: &generator), generator.vector(16),
                                payload: #"{"k":\#(Int.random(in: 0...2, using: &generator))}"#)
                        }
                        try await shard.upsert(points)
                    }
                }
            }
            group.addTask {
                for _ in 0..<60 { _ = try await shard.append(.deleteMatching(Self.filter), epoch: Epoch(1)) }
            }
            group.addTask {
                for _ in 0..<3 { try await shard.compact() }
            }
            try await group.waitForAll()
        }
        let records = try #require(try shard.logRecords(after: .zero, maxBytes: .max))
        var passing: Set<PointID> = []
        var all: Set<PointID> = []
        var deletes = 0
        for record in records {
            switch record.operation {
            case .upsert(let points):
                for point in points {
                    all.insert(point.id)
                    if Self.mark(point) { passing.insert(point.id) } else { passing.remove(point.id) }
                }
            case .delete(let ids):
                deletes += 1
                #expect(Set(ids) == passing, "write \(record.position.sequence)")
                #expect(ids.count == Set(ids).count)
                all.subtract(ids)
                passing = []
            case .deleteMatching, .adopt: Issue.record("the log holds \(record.operation)")
            }
        }
        #expect(deletes == 60)
        #expect(Set(try await shard.all().map(\.id)) == all)
        await shard.close()
    }

    /// With an index that is built or dropped meanwhile, what was known before may be of another meaning.
    @Test func textsAreSplitByTheIndexOfTheMoment() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        let texts = ["deep sea", "deeper sea", "shallow"]
        let filter = Filter(must: [.field(PayloadPath("t"), .text("dee"))])
        let index = PayloadIndexConfig(
            path: PayloadPath("t"), kind: .text,
            text: PayloadIndexConfig.TextOptions(tokenizer: .prefix, minimumTokenLength: 2))
        for round in 0..<20 {
            try await shard.upsert(
                texts.enumerated().map {
                    point(UInt64($0), [Float](repeating: 1, count: 16), payload: #"{"t":"\#($1)"}"#)
                })
            try await shard.setPayloadIndexes(round % 2 == 0 ? [index] : [])
            #expect(try await eventually { try shard.payloadIndexes().allSatisfy { $0.progress == 1 } })
            _ = try await shard.append(.deleteMatching(filter), epoch: Epoch(1))
            #expect(shard.count() == (round % 2 == 0 ? 1 : 3), "round \(round)")
        }
        await shard.close()
    }
}

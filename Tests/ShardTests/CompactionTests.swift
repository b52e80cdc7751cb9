import DataModel
import Foundation
import Shard
import Testing

@Suite struct CompactionTests {
    /// Nothing is compacted but by hand.
    private static let byHand = ShardOptions(
        pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30, compaction: CompactionOptions(deadFraction: 2))
    private static let rows: UInt64 = 6_000

    private func indexed(_ shard: Shard) async throws {
        #expect(try await eventually { shard.unindexedRows == 0 })
    }

    /// A shard that only ever held the given points.
    private func fresh(_ fixture: ShardFixture, _ points: [Record]) async throws -> (recall: Double, bytes: UInt64) {
        let shard = try fixture.open("fresh")
        for start in stride(from: 0, to: points.count, by: 1_000) {
            let part = points[start..<min(start + 1_000, points.count)]
            try await shard.upsert(
                part.map { record in
                    Point(
                        id: record.id, vectors: record.vectors ?? NamedVectors(),
                        payload: record.payload ?? Payload(json: Array("{}".utf8)))
                })
        }
        try await indexed(shard)
        let recall = try await shard.recall()
        await shard.close()
        return (recall, diskBytes(fixture.folder + "/fresh"))
    }

    private func diskBytes(_ folder: String) -> UInt64 {
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix("data.mdb") }.reduce(0) { sum, name in
            let size = try? FileManager.default.attributesOfItem(atPath: folder + "/" + name)[.size] as? NSNumber
            return sum + (size?.uint64Value ?? 0)
        }
    }

    private func generations(_ fixture: ShardFixture) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: fixture.folder + "/shard").sorted()
    }

    @Test(arguments: [true, false])
    func afterHalfIsDeletedOrAllIsUpdatedRecallAndDiskAreThoseOfAFreshShard(deletes: Bool) async throws {
        var options = Self.byHand
        options.retainedLogBytes = 0
        let fixture = try ShardFixture(options: options)
        var generator = SeededGenerator(seed: 21)
        let shard = try fixture.open()
        let points = (0..<Self.rows).map { point($0, generator.vector(16), payload: #"{"n":\#($0)}"#) }
        try await shard.upsert(points)
        try await indexed(shard)
        if deletes {
            try await shard.delete(points.shuffled(using: &generator)[..<(points.count / 2)].map(\.id))
        } else {
            try await shard.upsert(
                points.shuffled(using: &generator).map {
                    Point(id: $0.id, vectors: NamedVectors(generator.vector(16)), payload: $0.payload)
                })
            try await indexed(shard)
        }
        let before = try await shard.all()
        #expect(shard.deadRows >= Self.rows / 2)

        try await shard.compact()

        #expect(try await shard.all() == before)
        #expect(shard.count() == UInt64(before.count))
        #expect(shard.deadRows < 256)
        try await indexed(shard)
        let recall = try await shard.recall()
        await shard.close()
        let (freshRecall, freshBytes) = try await fresh(fixture, before)
        #expect(recall >= freshRecall - 0.01)
        let names = try generations(fixture)
        #expect(names == ["generation-2"])
        let bytes = diskBytes(fixture.folder + "/shard")
        #expect(Double(bytes) <= 1.5 * Double(freshBytes), "\(bytes) bytes, fresh \(freshBytes)")
        let reopened = try fixture.open()
        #expect(try await reopened.all() == before)
        #expect(reopened.unindexedRows == 0)
        await reopened.close()
    }

    @Test func writesAndSearchesGoOnDuringACompactionAndNoneIsLost() async throws {
        let fixture = try ShardFixture(options: Self.byHand)
        var generator = SeededGenerator(seed: 22)
        let shard = try fixture.open()
        try await shard.upsert((0..<Self.rows).map { point($0, generator.vector(16)) })
        try await shard.delete((0..<2_000).map { PointID.number($0) })
        let start = shard.position.sequence

        let compaction = Task { try await shard.compact() }
        var expected = Dictionary(uniqueKeysWithValues: try await shard.all().map { ($0.id, $0.vectors) })
        var writes = 0
        while shard.compactionProgress != nil || writes < 50 {
            let id = UInt64.random(in: 0..<8_000, using: &generator)
            if Bool.random(using: &generator) {
                let vector = generator.vector(16)
                try await shard.upsert([point(id, vector)])
                expected[.number(id)] = NamedVectors(vector)
                #expect(try await shard.nearest(vector, limit: 1).first?.record.id == .number(id))
            } else {
                try await shard.delete([.number(id)])
                expected[.number(id)] = nil
            }
            writes += 1
        }
        try await compaction.value
        #expect(try generations(fixture).contains("generation-2"))

        for reopens in [false, true] {
            let shard = reopens ? try fixture.open() : shard
            let all = try await shard.all()
            #expect(Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0.vectors) }) == expected)
            #expect(shard.position.sequence.rawValue == start.rawValue + UInt64(writes))
            #expect(shard.epoch(of: start) == Epoch(1))
            // A replica that was at the start of the compaction finds all that it lacks.
            let records = try #require(try shard.logRecords(after: start, maxBytes: 1 << 30))
            #expect(records.count == writes)
            await shard.close()
        }
    }

    @Test func aQuarterOfDeadRowsStartsACompactionAndFewerDoNot() async throws {
        let options = ShardOptions(
            pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30,
            compaction: CompactionOptions(deadFraction: 0.25, minimumDeadRows: 500))
        let fixture = try ShardFixture(options: options)
        var generator = SeededGenerator(seed: 23)
        let shard = try fixture.open()
        try await shard.upsert((0..<2_400).map { point($0, generator.vector(16)) })
        try await shard.delete((0..<599).map { PointID.number($0) })
        fixture.runtime.tickShards()
        #expect(shard.compactionProgress == nil)
        try await shard.delete([.number(599)])
        fixture.runtime.tickShards()
        #expect(try await eventually { shard.deadRows < 256 && shard.compactionProgress == nil })
        #expect(shard.count() == 1_800)
        await shard.close()
    }

    @Test func closingEndsACompactionAndTheShardIsAsItWas() async throws {
        let fixture = try ShardFixture(options: Self.byHand)
        var generator = SeededGenerator(seed: 24)
        let shard = try fixture.open()
        for start in stride(from: 0, to: UInt64(20_000), by: 2_000) {
            try await shard.upsert((start..<start + 2_000).map { point($0, generator.vector(16)) })
        }
        let before = try await shard.all()
        let compaction = Task { try await shard.compact() }
        #expect(
            try await eventually {
                shard.compactionProgress?.phase == .copying || shard.compactionProgress?.phase == .indexing
            })
        await shard.close()
        await #expect(throws: ShardError.self) { try await compaction.value }
        #expect(try generations(fixture) == ["generation-1"])
        let reopened = try fixture.open()
        #expect(try await reopened.all() == before)
        await reopened.close()
    }

    @Test func whatACrashLeftOfACompactionIsRemovedAndTheHighestCompleteGenerationCounts() async throws {
        let fixture = try ShardFixture(options: Self.byHand)
        var generator = SeededGenerator(seed: 25)
        let first = try fixture.open()
        try await first.upsert((0..<300).map { point($0, generator.vector(16)) })
        await first.close()
        let folder = fixture.folder + "/shard"
        let files = FileManager.default
        // Before the rename: half a generation, with what the former has written since.
        try files.createDirectory(atPath: folder + "/generation-2.building/points", withIntermediateDirectories: true)
        try Data("half".utf8).write(to: URL(filePath: folder + "/generation-2.building/points/data.mdb"))
        let second = try fixture.open()
        #expect(second.count() == 300)
        #expect(try generations(fixture) == ["generation-1"])
        try await second.compact()
        try await second.upsert([point(1_000, generator.vector(16))])
        await second.close()
        // After the rename: the former is still there.
        try files.copyItem(atPath: folder + "/generation-2", toPath: folder + "/generation-1")
        let third = try fixture.open()
        #expect(third.count() == 301)
        #expect(try generations(fixture) == ["generation-2"])
        await third.close()
    }

    @Test func pointsWithoutVectorsAndOfSeveralSpacesSurvive() async throws {
        let spaces = [
            VectorSpace(name: "a", dimension: 4, distance: .cosine), VectorSpace(name: "b", dimension: 8, distance: .dot),
        ]
        let fixture = try ShardFixture(spaces: spaces, options: Self.byHand)
        var generator = SeededGenerator(seed: 26)
        let shard = try fixture.open()
        let points = (0..<700).map { id -> Point in
            var vectors = NamedVectors()
            if id % 3 != 0 { vectors["a"] = generator.vector(4) }
            if id % 5 != 0 { vectors["b"] = generator.vector(8) }
            return Point(id: .number(UInt64(id)), vectors: vectors, payload: Payload(json: Array(#"{"n":\#(id)}"#.utf8)))
        }
        try await shard.upsert(points)
        try await shard.delete((0..<700).filter { $0 % 7 == 0 }.map { PointID.number($0) })
        let before = try await shard.all()
        try await shard.compact()
        #expect(try await shard.all() == before)
        try await shard.delete(before.map(\.id))
        try await shard.compact()
        #expect(shard.count() == 0)
        #expect(shard.deadRows == 0)
        await shard.close()
    }
}

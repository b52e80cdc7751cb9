import DataModel
import Shard
import Testing

@Suite struct DigestTests {
    private static let all = [VirtualShardRange(lower: 0, upper: 127)]

    private func points(_ ids: some Sequence<UInt64>, seed: UInt64) -> [Point] {
        var generator = SeededGenerator(seed: seed)
        return ids.map { point($0, generator.vector(16)) }
    }

    /// One has everything by its log, the other got one record at a time and was compacted and opened anew.
    @Test func replicasWithTheSamePointsHaveEqualDigestsWhateverTheirRows() async throws {
        let options = ShardOptions(
            pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30, compaction: CompactionOptions(deadFraction: 2))
        let fixture = try ShardFixture(options: options)
        let first = try fixture.open("first")
        try await first.upsert(points(1...900, seed: 1))
        try await first.upsert(points(500...1_200, seed: 2))
        try await first.delete((1...300).map { .number($0) })
        var second = try fixture.open("second")
        let records = try #require(try first.logRecords(after: .zero, maxBytes: 1 << 30))
        for record in records { try await second.apply([record]) }
        second.beginCompaction()
        #expect(try await eventually { second.deadRows < 256 })
        await second.close()
        second = try fixture.open("second")

        let digest = try await first.digest(of: Self.all)
        #expect(digest == (try await second.digest(of: Self.all)))
        #expect(digest.position == first.position)
        #expect(digest.virtualShards.values.reduce(0) { $0 + $1.points } == 900)
        await first.close()
        await second.close()
    }

    @Test func aDigestIsOfItsRangesAndChangesWithEachWriteToThem() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        try await shard.upsert(points(1...1_000, seed: 3))
        let before = try await shard.digest(of: Self.all)
        #expect(before.virtualShards.count == 128)
        for id: UInt64 in [17, 400, 999] {
            let home = VirtualShard(of: .number(id), count: 128)
            let former = try await shard.digest(of: Self.all)
            try await shard.upsert(points([id], seed: id))
            let updated = try await shard.digest(of: Self.all)
            #expect(updated.virtualShards.filter { former.virtualShards[$0.key] != $0.value }.map(\.key) == [home])
            #expect(updated[home].points == former[home].points)
            try await shard.delete([.number(id)])
            let deleted = try await shard.digest(of: Self.all)
            #expect(deleted[home].points == former[home].points - 1)
        }
        let ranges = [VirtualShardRange(lower: 5, upper: 9), VirtualShardRange(lower: 127, upper: 127)]
        let part = try await shard.digest(of: ranges)
        let whole = try await shard.digest(of: Self.all)
        #expect(part.virtualShards == whole.virtualShards.filter { key, _ in ranges.contains { $0.contains(key) } })
        await shard.close()
    }
}

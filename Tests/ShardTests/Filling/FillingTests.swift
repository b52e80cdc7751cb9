import DataModel
import Shard
import Testing

/// Shards that are filled from others, as splits and merges do.
@Suite struct FillingTests {
    private static let all = [VirtualShardRange(lower: 0, upper: 127)]

    private func points(_ ids: some Sequence<UInt64>, seed: UInt64) -> [Point] {
        var generator = SeededGenerator(seed: seed)
        return ids.map { point($0, generator.vector(16), payload: #"{"n":\#($0)}"#) }
    }

    /// Copies the points, page by page, with `between` after each.
    private func copy(
        _ source: Shard, _ ranges: [VirtualShardRange], to target: Shard, between: () async throws -> Void = {}
    ) async throws {
        var place: [UInt8]?
        repeat {
            let page = try await source.pointPage(of: ranges, from: place)
            try await target.fill(page.points, deleting: [])
            place = page.next
            try await between()
        } while place != nil
    }

    private func follow(
        _ source: Shard, _ ranges: [VirtualShardRange], from: LogPosition, to target: Shard
    ) async throws -> LogPosition {
        var position = from
        while position != source.position {
            let page = try source.logPage(of: ranges, after: position, acknowledged: source.position.sequence)
            try await target.fill(page.points, deleting: page.deleted)
            position = page.position
        }
        return position
    }

    @Test func halvesThatAreFilledWhileTheirSourceIsWrittenHaveItsPointsAndVersions() async throws {
        let fixture = try ShardFixture()
        let source = try fixture.open("source")
        for batch in 0..<5 {
            try await source.upsert(points(UInt64(batch * 200)..<UInt64(batch * 200 + 200), seed: UInt64(batch)))
        }
        let begin = source.position
        let halves = [[VirtualShardRange(lower: 0, upper: 63)], [VirtualShardRange(lower: 64, upper: 127)]]
        var targets: [Shard] = []
        var seed: UInt64 = 100
        for (number, ranges) in halves.enumerated() {
            let target = try fixture.open("half-\(number)")
            try target.beginFilling()
            try await copy(source, ranges, to: target) {
                // Updates, new points, deletions and points that come back, before and behind the page.
                seed += 1
                try await source.upsert(points([seed % 1_000, seed * 37 % 1_000, 10_000 + seed], seed: seed))
                try await source.delete([.number(seed * 11 % 1_000), .number(10_000 + seed / 2)])
            }
            targets.append(target)
        }
        for (target, ranges) in zip(targets, halves) {
            _ = try await follow(source, ranges, from: begin, to: target)
            #expect(try await target.digest(of: ranges).virtualShards == source.digest(of: ranges).virtualShards)
        }
        let records = try await targets[0].all() + targets[1].all()
        #expect(records.sorted { $0.id < $1.id } == (try await source.all()))

        let position = LogPosition(sequence: SequenceNumber(1_000_000), epoch: Epoch(1))
        for target in targets {
            try await target.endFilling(at: position)
            #expect(target.position == position)
            #expect(try target.logRecords(after: .zero, maxBytes: 1 << 20) == nil)
            #expect(try target.logRecords(after: position.sequence, maxBytes: 1 << 20) == [])
            #expect(target.epoch(of: position.sequence) == Epoch(1))
            #expect(try await target.verify().allFindings.isEmpty)
        }
        for shard in targets + [source] { await shard.close() }
    }

    @Test func theLogOfAFilledShardHoldsVersionsOfOthersAndSurvivesTheEnd() async throws {
        let fixture = try ShardFixture()
        var shard = try fixture.open()
        try shard.beginFilling()
        let adopted = points(1...700, seed: 1).map { VersionedPoint(point: $0, version: SequenceNumber(40)) }
        try await shard.fill(adopted, deleting: [])
        // What is older changes nothing, in whichever order it comes.
        try await shard.fill(
            [VersionedPoint(point: points([5], seed: 9)[0], version: SequenceNumber(39))],
            deleting: [.init(id: .number(6), sequence: SequenceNumber(40)), .init(id: .number(7), sequence: SequenceNumber(41))])
        #expect(shard.count() == 699)
        try await shard.endFilling(at: LogPosition(sequence: SequenceNumber(1_000), epoch: Epoch(1)))
        let late = VersionedPoint(point: points([3], seed: 5)[0], version: SequenceNumber(77))
        let record = try await shard.append(.adopt([late], deleting: [.number(4)], requests: []), epoch: Epoch(1))
        #expect(record.position.sequence == SequenceNumber(1_001))
        try await shard.upsert(points([8], seed: 6))
        let before = try await shard.all()
        await shard.close()
        shard = try fixture.open()
        let after = try await shard.all()
        #expect(after == before)
        let versions = Dictionary(uniqueKeysWithValues: after.map { ($0.id, $0.version.rawValue) })
        #expect(versions[.number(3)] == 77 && versions[.number(4)] == nil && versions[.number(5)] == 40)
        #expect(versions[.number(8)] == 1_002)
        #expect(try await shard.verify().allFindings.isEmpty)
        await shard.close()
    }

    @Test func aShardIsIndexedWhileItIsFilledAndNotCompacted() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        try shard.beginFilling()
        try await shard.fill(
            points(1...600, seed: 1).map { VersionedPoint(point: $0, version: SequenceNumber(1)) }, deleting: [])
        #expect(try await eventually { shard.unindexedRows == 0 })
        shard.beginCompaction()
        #expect(shard.compactionProgress == nil)
        try await shard.endFilling(at: LogPosition(sequence: SequenceNumber(10), epoch: Epoch(1)))
        try await shard.upsert(points(3_000..<3_050, seed: 2))
        #expect(try await eventually { shard.unindexedRows == 0 })
        let vector = try #require(points([3_000], seed: 2)[0].vectors[""])
        #expect(try await shard.nearest(vector, limit: 1).first?.record.id == .number(3_000))
        await shard.close()
    }

    @Test func aLogThatDoesNotReachBackOrIsAnotherIsRefused() async throws {
        let fixture = try ShardFixture(
            options: ShardOptions(pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30, retainedLogBytes: 1_000))
        let shard = try fixture.open()
        for batch: UInt64 in 1...20 { try await shard.upsert(points(batch * 100..<batch * 100 + 99, seed: batch)) }
        let first = LogPosition(sequence: SequenceNumber(1), epoch: Epoch(1))
        #expect(throws: ShardError.self) {
            try shard.logPage(of: Self.all, after: first, acknowledged: shard.position.sequence)
        }
        let other = LogPosition(sequence: shard.position.sequence, epoch: Epoch(9))
        #expect(throws: ShardError.self) {
            try shard.logPage(of: Self.all, after: other, acknowledged: shard.position.sequence)
        }
        await shard.close()
    }
}

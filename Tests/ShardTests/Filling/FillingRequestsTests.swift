import DataModel
import Shard
import Testing

/// Names of writes go with the points when shards are split and merged: what comes again is not done again.
@Suite struct FillingRequestsTests {
    private static let lower = VirtualShardSet([VirtualShardRange(lower: 0, upper: 63)])
    private static let upper = VirtualShardSet([VirtualShardRange(lower: 64, upper: 127)])
    private static let begin = LogPosition(sequence: SequenceNumber(1_000_000), epoch: Epoch(1))

    private static func point(_ id: UInt64, _ text: String) -> Point {
        ShardTests.point(id, [Float](repeating: Float(id), count: 16), payload: #"{"by":"\#(text)"}"#)
    }

    private static func write(_ name: String, _ ids: some Sequence<UInt64>) -> WriteRequest {
        WriteRequest(.upsert(ids.map { point($0, name) })).named(RequestName(name))
    }

    /// Ids below 100 whose points are in the virtual shards.
    private static func ids(_ shards: VirtualShardSet) -> [UInt64] {
        (0..<100).filter { shards.contains(VirtualShard(of: .number($0), count: 128)) }
    }

    /// What a write's name covers of a client's words when it goes to one shard of several.
    private static func part(_ write: WriteRequest, of shards: VirtualShardSet) -> WriteRequest {
        var part = write
        if case .upsert(let points) = write.operation {
            part.operation = .upsert(
                points.filter { shards.contains(VirtualShard(of: $0.id, count: 128)) })
        }
        part.conditions = write.conditions.filter { shards.contains(VirtualShard(of: $0.id, count: 128)) }
        return part
    }

    /// A shard that was filled from others: each with its share of the virtual shards, nil when that is all.
    private func filled(
        _ fixture: ShardFixture, _ name: String, from sources: [(shard: Shard, scope: VirtualShardSet?)]
    ) async throws -> Shard {
        let target = try fixture.open(name)
        try target.beginFilling()
        var requests: [RememberedWrite] = []
        for (source, scope) in sources {
            let owned = scope ?? VirtualShardSet([VirtualShardRange(lower: 0, upper: 127)])
            var place: [UInt8]?
            repeat {
                let page = try await source.pointPage(of: owned.ranges, from: place)
                try await target.fill(page.points, deleting: [])
                place = page.next
            } while place != nil
            let page = try await source.requestPage(after: .zero, through: source.position.sequence)
            #expect(page.next == nil)
            requests += page.requests.compactMap { $0.moved(to: scope) }
        }
        try await target.endFilling(at: Self.begin)
        _ = try await target.append(.adopt([], deleting: [], requests: requests), epoch: Epoch(1))
        return target
    }

    private func writers(_ shard: Shard) async throws -> [PointID: String] {
        Dictionary(
            uniqueKeysWithValues: try await shard.all().map { record in
                let json = String(decoding: record.payload?.json ?? [], as: UTF8.self)
                return (record.id, String(json.dropFirst(7).dropLast(2)))
            })
    }

    @Test func aHalfKnowsWhatTheWholeHasDoneAlsoAfterACompactionAndOnItsBackup() async throws {
        let fixture = try ShardFixture()
        let source = try fixture.open("source")
        let first = Self.write("first", 0..<100)
        #expect(try await source.outcome(first) == .success(SequenceNumber(1)))
        _ = try await source.outcome(Self.write("second", 0..<100))
        let half = try await filled(fixture, "half", from: [(source, nil)])
        let position = half.position
        let part = Self.part(first, of: Self.lower)
        #expect(try await half.outcome(part) == .success(SequenceNumber(1)))
        #expect(half.position == position)
        #expect(Set(try await writers(half).values) == ["second"])
        #expect(try await half.outcome(Self.write("first", [3])) == .failure(.requestNameReused))

        let backup = try fixture.open("backup")
        try backup.beginFilling()
        try await backup.endFilling(at: Self.begin)
        try await backup.apply(try #require(try half.logRecords(after: Self.begin.sequence, maxBytes: .max)))
        #expect(try await backup.outcome(part, epoch: 2) == .success(SequenceNumber(1)))
        half.beginCompaction()
        #expect(try await eventually { half.compactionProgress == nil })
        await half.close()
        let reopened = try fixture.open("half")
        #expect(try await reopened.outcome(part, epoch: 2) == .success(SequenceNumber(1)))
        #expect(try await reopened.verify().allFindings.isEmpty)
        for shard in [source, backup, reopened] { await shard.close() }
    }

    @Test func ofAWriteThatOneOfTwoHasDoneTheirMergeDoesTheRest() async throws {
        let fixture = try ShardFixture()
        let (one, two) = (try fixture.open("one"), try fixture.open("two"))
        let whole = Self.write("whole", 0..<100)
        #expect(try await one.outcome(Self.part(whole, of: Self.lower)) == .success(SequenceNumber(1)))
        _ = try await one.outcome(Self.write("later", Self.ids(Self.lower)))
        _ = try await two.outcome(Self.write("earlier", Self.ids(Self.upper)))
        let merged = try await filled(fixture, "merged", from: [(one, Self.lower), (two, Self.upper)])
        for _ in 0..<2 {
            _ = try await merged.outcome(whole).get()
            let writers = try await writers(merged)
            #expect(Self.ids(Self.lower).allSatisfy { writers[.number($0)] == "later" })
            #expect(Self.ids(Self.upper).allSatisfy { writers[.number($0)] == "whole" })
        }
        let position = merged.position
        #expect(position.sequence == SequenceNumber(1_000_002))
        await merged.close()
        let reopened = try fixture.open("merged")
        _ = try await reopened.outcome(whole, epoch: 2).get()
        #expect(reopened.position == position)
        for shard in [one, two, reopened] { await shard.close() }
    }

    /// Found by a lost write: both parts of a batch came to one shard under one name, and it took the second for the first.
    @Test(arguments: [false, true])
    func partsThatWereMeantForTwoShardsAreBothDoneByTheOneThatReplacesThem(isFirstDone: Bool) async throws {
        let fixture = try ShardFixture()
        let (one, two) = (try fixture.open("one"), try fixture.open("two"))
        let whole = Self.write("whole", 0..<100)
        if isFirstDone { _ = try await one.outcome(Self.part(whole, of: Self.lower)).get() }
        let merged = try await filled(fixture, "merged", from: [(one, Self.lower), (two, Self.upper)])
        for scope in [Self.lower, Self.upper, Self.lower] {
            var part = Self.part(whole, of: scope)
            part.stamp?.scope = scope
            _ = try await merged.outcome(part).get()
        }
        #expect(merged.count() == 100)
        let position = merged.position
        _ = try await merged.outcome(whole).get()
        #expect(merged.position == position)
        for shard in [one, two, merged] { await shard.close() }
    }

    @Test func aLongListOfNamesComesInPages() async throws {
        let fixture = try ShardFixture()
        let source = try fixture.open("source")
        var expected: [RememberedWrite] = []
        for number in 0..<5 as Range<UInt64> {
            let adopted = (0..<3_000 as Range<UInt64>).map {
                RememberedWrite(RequestStamp(name: RequestName("\(number)/\($0)"), digest: $0), sequence: SequenceNumber($0))
            }
            _ = try await source.append(.adopt([], deleting: [], requests: adopted), epoch: Epoch(1))
            expected += adopted
        }
        var (found, place): ([RememberedWrite], SequenceNumber?) = ([], .zero)
        var pages = 0
        while let after = place {
            let page = try await source.requestPage(after: after, through: source.position.sequence)
            (found, place, pages) = (found + page.requests, page.next, pages + 1)
        }
        #expect(found == expected && pages > 1)
        await source.close()
    }

    @Test func conditionsOfWhatWasDoneAreNotAskedAgain() async throws {
        let fixture = try ShardFixture()
        let (one, two) = (try fixture.open("one"), try fixture.open("two"))
        let (low, high) = (try #require(Self.ids(Self.lower).first), try #require(Self.ids(Self.upper).first))
        let whole = WriteRequest(
            .upsert([Self.point(low, "new"), Self.point(high, "new")]),
            conditions: [low, high].map { WriteCondition(id: .number($0), version: .zero) }
        ).named(RequestName("new"))
        _ = try await one.outcome(Self.part(whole, of: Self.lower)).get()
        let merged = try await filled(fixture, "merged", from: [(one, Self.lower), (two, Self.upper)])
        _ = try await merged.outcome(whole).get()
        #expect(merged.count() == 2)
        for shard in [one, two, merged] { await shard.close() }
    }

    @Test func aDeleteByFilterComesAgainOnlyWhereItWasNotDone() async throws {
        let fixture = try ShardFixture()
        let (one, two) = (try fixture.open("one"), try fixture.open("two"))
        let delete = WriteRequest(.deleteMatching(Filter())).named(RequestName("all"))
        _ = try await one.outcome(delete).get()
        _ = try await one.outcome(Self.write("later", Self.ids(Self.lower))).get()
        _ = try await two.outcome(Self.write("earlier", Self.ids(Self.upper))).get()
        let merged = try await filled(fixture, "merged", from: [(one, Self.lower), (two, Self.upper)])
        _ = try await merged.outcome(delete).get()
        #expect(Set(try await writers(merged).keys) == Set(Self.ids(Self.lower).map { .number($0) }))
        // A part that was meant for one of two leaves the other's points.
        var part = WriteRequest(.deleteMatching(Filter())).named(RequestName("again"))
        part.stamp?.scope = Self.upper
        _ = try await merged.outcome(part).get()
        #expect(merged.count() == UInt64(Self.ids(Self.lower).count))
        for shard in [one, two, merged] { await shard.close() }
    }

    @Test func aPageOfTheLogTellsTheNamesOfWritesThatAdoptedToo() async throws {
        let fixture = try ShardFixture()
        let source = try fixture.open("source")
        let write = Self.write("w", [1])
        _ = try await source.outcome(write).get()
        let adopted = RememberedWrite(RequestStamp(name: RequestName("old"), digest: 5), sequence: SequenceNumber(77))
        _ = try await source.append(.adopt([], deleting: [], requests: [adopted]), epoch: Epoch(1))
        let page = try source.logPage(of: [], after: .start, acknowledged: source.position.sequence)
        let own = RememberedWrite(try #require(write.stamp), sequence: SequenceNumber(1))
        #expect(page.points.isEmpty && page.requests == [own, adopted] && !page.isEmpty)
        let table = try await source.requestPage(after: .zero, through: SequenceNumber(1))
        #expect(table.requests == [own])
        await source.close()
    }
}

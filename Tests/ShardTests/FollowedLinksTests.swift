import DataModel
import Shard
import Testing

/// A replica asks another one for links, and indexes its rows whether it gets them or not.
@Suite struct FollowedLinksTests {
    private static let options = ShardOptions(
        pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30, compaction: CompactionOptions(deadFraction: 2))
    private static let patience = Duration.seconds(20)

    /// Writes of 500 points each, in the order of one log.
    private func records(_ range: Range<UInt64>, seed: UInt64 = 5) -> [LogRecord] {
        var generator = SeededGenerator(seed: seed)
        return range.map { number in
            let points = (0..<500).map { point(number * 500 + $0, generator.vector(16)) }
            return LogRecord(
                position: LogPosition(sequence: SequenceNumber(number + 1), epoch: Epoch(1)), operation: .upsert(points))
        }
    }

    private func indexed(_ shard: Shard) async throws {
        #expect(try await eventually(within: soon) { shard.unindexedRows == 0 })
    }

    /// Lets the follower ask the leader until it needs nothing any more.
    private func follow(_ leader: Shard, with follower: Shard) async throws {
        let isOver = try await eventually(within: soon) {
            switch follower.needLinks(holdingFor: Self.patience) {
            case .nothing: return true
            case .later: return false
            case .page(let request):
                guard let page = leader.links(request) else { return true }
                #expect(follower.take(page, for: request))
                return false
            }
        }
        #expect(isOver)
        follower.endFollowingLinks()
    }

    @Test func aReplicaTakesOverLinksOfAnother() async throws {
        let fixture = try ShardFixture(options: Self.options)
        let (leader, follower) = (try fixture.open("leader"), try fixture.open("follower"))
        let records = records(0..<10)
        try await leader.apply(records)
        try await indexed(leader)
        // It indexes rows by itself until they are held: how many it is told of depends on the machine.
        for record in records {
            try await follower.apply([record])
            try await follow(leader, with: follower)
        }
        try await indexed(follower)
        #expect(follower.figures().adoptedRows > 0)
        #expect(leader.figures().adoptedRows == 0)
        let (leaders, followers) = (try await leader.recall(), try await follower.recall())
        #expect(followers >= leaders - 0.02)
        await leader.close()
        await follower.close()
    }

    /// Whoever asks only for one space lets the other's rows wait.
    @Test func theSpaceThatIsFurthestBehindIsAskedForFirst() async throws {
        let spaces = ["a", "b"].map { VectorSpace(name: $0, dimension: 8, distance: .euclid) }
        let fixture = try ShardFixture(spaces: spaces, options: Self.options)
        let (leader, follower) = (try fixture.open("leader"), try fixture.open("follower"))
        var generator = SeededGenerator(seed: 3)
        let points = (0..<4_000 as Range<UInt64>).map { number in
            var vectors = NamedVectors()
            for space in spaces { vectors[space.name] = generator.vector(8) }
            return Point(id: .number(number), vectors: vectors, payload: Payload(json: Array("{}".utf8)))
        }
        let record = LogRecord(
            position: LogPosition(sequence: SequenceNumber(1), epoch: Epoch(1)), operation: .upsert(points))
        try await leader.apply([record])
        try await indexed(leader)
        try await follower.apply([record])
        // Up to where each space's rows were asked for.
        var ends: [UInt16: UInt32] = [:]
        while case .page(let request) = follower.needLinks(holdingFor: Self.patience) {
            for (space, end) in ends where space != request.space { #expect(request.first <= end + 512) }
            let page = try #require(leader.links(request))
            #expect(follower.take(page, for: request))
            ends[request.space] = page.end
        }
        follower.endFollowingLinks()
        try await indexed(follower)
        await leader.close()
        await follower.close()
    }

    @Test func heldRowsAreIndexedWhenNobodyAnswers() async throws {
        let fixture = try ShardFixture(options: Self.options)
        let shard = try fixture.open()
        try await shard.apply(records(0..<2))
        _ = shard.needLinks(holdingFor: .milliseconds(100))
        // Nobody ends the hold: it ends by itself.
        try await indexed(shard)
        await shard.close()
    }

    @Test func aCompactionEndsWhatReplicasHaveInCommon() async throws {
        let fixture = try ShardFixture(options: Self.options)
        let (leader, follower) = (try fixture.open("leader"), try fixture.open("follower"))
        for shard in [leader, follower] {
            try await shard.apply(records(0..<2))
            try await indexed(shard)
        }
        let request = LinkRequest(layout: 0, space: 0, first: 500, maximumRows: 100)
        #expect(leader.links(request)?.rowCount == 100)
        try await leader.compact()
        #expect(leader.links(request) == nil)
        // Rows are indexed all the same, and the new layout outlives the process.
        try await follower.apply(records(2..<4))
        try await follow(leader, with: follower)
        try await indexed(follower)
        await leader.close()
        let reopened = try fixture.open("leader")
        #expect(reopened.links(request) == nil)
        await reopened.close()
        await follower.close()
    }

    @Test func requestsForRowsAndSpacesThatAreNotThere() async throws {
        let fixture = try ShardFixture(options: Self.options)
        let shard = try fixture.open()
        try await shard.apply(records(0..<1))
        try await indexed(shard)
        #expect(shard.links(LinkRequest(layout: 0, space: 1, first: 0, maximumRows: 10)) == nil)
        #expect(shard.links(LinkRequest(layout: 1, space: 0, first: 0, maximumRows: 10)) == nil)
        #expect(shard.links(LinkRequest(layout: 0, space: 0, first: .max, maximumRows: .max))?.rowCount == 0)
        #expect(shard.links(LinkRequest(layout: 0, space: 0, first: 0, maximumRows: .max))?.rowCount == 500)
        await shard.close()
    }
}

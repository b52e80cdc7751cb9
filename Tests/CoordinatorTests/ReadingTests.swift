import Cluster
import Coordinator
import DataModel
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ReadingTests {
    private func query(_ limit: Int = 3, offset: Int = 0, ef: Int? = nil) -> Query {
        Query(target: .vector([0, 0, 0, 0]), limit: limit, offset: offset, ef: ef)
    }

    @Test(arguments: Distance.allCases)
    func resultsOfAllShardsComeBestFirstAndTiesByID(distance: Distance) async throws {
        let fixture = try await Fixture()
        try await fixture.create([VectorSpace(name: "", dimension: 4, distance: distance)])
        let near: (Int) -> Float = { distance.largerIsNearer ? 10 - Float($0) : Float($0) }
        fixture.shards.with { state in
            state.hits[ShardNumber(0)] = [hit(7, near(1)), hit(1, near(3))]
            state.hits[ShardNumber(1)] = [hit(2, near(1)), hit(9, near(4))]
            state.hits[ShardNumber(2)] = [hit(5, near(2))]
        }
        let all = try await fixture.coordinator.query([query(10)], in: "c", deadline: .soon)[0]
        #expect(all.points.map(\.record.id) == [2, 7, 5, 1, 9].map { .number($0) })
        let page = try await fixture.coordinator.query([query(2, offset: 1)], in: "c", deadline: .soon)[0]
        #expect(page.points.map(\.record.id) == [.number(7), .number(5)])
    }

    @Test func aProfileSaysHowEachShardAnswered() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 4)
        fixture.shards.with { $0.hits[ShardNumber(1)] = [hit(7, 1)] }
        var query = query(10)
        #expect(try await fixture.coordinator.query([query], in: "c", deadline: .soon)[0].profiles.isEmpty)
        query.profile = true
        let profiles = try await fixture.coordinator.query([query], in: "c", deadline: .soon)[0].profiles
        #expect(profiles.map(\.shard) == [0, 1, 2, 3].map { ShardNumber($0) })
        #expect(profiles.map(\.profile.comparisons) == [0, 1, 0, 0])
    }

    @Test func batchAnswersEachQueryInOrder() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        fixture.shards.with { $0.hits[ShardNumber(1)] = (0..<5).map { hit($0, Float($0)) } }
        let answers = try await fixture.coordinator.query(
            [query(1), query(4), query(2)], in: "c", deadline: .soon)
        #expect(answers.map(\.points.count) == [1, 4, 2])
    }

    @Test func shardsAreAskedForTheWholeWindowAndTheirShareOfTheEffort() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 4)
        _ = try await fixture.coordinator.query([query(10, offset: 5, ef: 100)], in: "c", deadline: .soon)
        _ = try await fixture.coordinator.query([query(80, ef: 100)], in: "c", deadline: .soon)
        _ = try await fixture.coordinator.query([query(10)], in: "c", deadline: .soon)
        for searches in fixture.shards.with({ $0.searches }).values {
            #expect(searches.map(\.limit) == [15, 80, 10])
            #expect(searches.map(\.ef) == [50, 80, 64])
        }
    }

    @Test func queryByPointUsesItsVectorAndLeavesItOut() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        _ = try await fixture.coordinator.upsert([point(.number(3), [1, 2, 3, 4])], into: "c", deadline: .soon)
        fixture.shards.with { $0.hits[ShardNumber(0)] = [hit(3, 0), hit(4, 1)] }
        let query = Query(target: .point(.number(3)))
        let found = try await fixture.coordinator.query([query], in: "c", deadline: .soon)[0]
        #expect(found.points.map(\.record.id) == [.number(4)])
        #expect(fixture.shards.with { $0.searches }.values.allSatisfy { $0[0].vector == [1, 2, 3, 4] })
        await #expect(throws: DatabaseError.pointNotFound(.number(8))) {
            try await fixture.coordinator.query([Query(target: .point(.number(8)))], in: "c", deadline: .soon)
        }
    }

    @Test func failingReplicaIsReplacedByAnother() async throws {
        let fixture = try await Fixture()
        try await fixture.create(copies: 3)
        for error in [
            ShardError.unreachable(reason: "refused"), .notServing(reason: "catching up"),
            .staleEpoch(current: Epoch(9)), .corrupted(reason: "checksum"),
        ] {
            fixture.shards.set(.fails(error), on: 1)
            #expect(try await fixture.coordinator.count(nil, in: "c", deadline: .soon) == 0)
        }
    }

    @Test func readWaitsForTheClusterToSettle() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 2)
        for node: UInt32 in 1...3 {
            fixture.shards.set(.failsFirst(4, .notServing(reason: "taking over")), on: node)
        }
        #expect(try await fixture.coordinator.count(nil, in: "c", deadline: .soon) == 0)
    }

    @Test func replicaThatDoesNotAnswerIsHedged() async throws {
        let fixture = try await Fixture()
        try await fixture.create(copies: 3)
        fixture.shards.set(.hangs, on: 1)
        for _ in 0..<20 {
            #expect(try await fixture.coordinator.count(nil, in: "c", deadline: .soon) == 0)
        }
    }

    /// A stopped node was replaced: the replica that took over refuses the old epoch, the stopped one never answers, and
    /// the read waited for it although the new shard map was there.
    @Test func readDoesNotWaitForAHungReplicaWhenTheMapHasChanged() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 2)
        let old = try fixture.shard()
        let other = try #require(old.inSync.first { $0 != old.primary })
        fixture.shards.set(.hangs, on: old.primary.rawValue)
        fixture.shards.set(.failsFirst(1, .staleEpoch(current: old.epoch.next)), on: other.rawValue)
        async let counted = fixture.coordinator.count(nil, in: "c", deadline: .after(.seconds(4)))
        try await fixture.change { record in
            record.replicas = record.replicas.filter { $0.node == other }
            record.primary = other
        }
        #expect(try await counted == 0)
    }

    @Test func shardThatNobodyServesFailsTheReadByName() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        for node: UInt32 in 1...3 { fixture.shards.set(.fails(.unreachable(reason: "refused")), on: node) }
        await #expect {
            try await fixture.coordinator.count(nil, in: "c", deadline: .after(.milliseconds(200)))
        } throws: { isError($0, unavailable, "shard ", "collection c", "refused") }
    }

    @Test func replicaOutsideTheInSyncSetIsNeverAsked() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 3)
        let primary = try fixture.shard().primary
        try await fixture.change { record in
            for index in record.replicas.indices where record.replicas[index].node != primary {
                record.replicas[index].state = .catchingUp
            }
        }
        let before = (1...3).map { fixture.shards.calls(to: $0) }
        for _ in 0..<10 { _ = try await fixture.coordinator.count(nil, in: "c", deadline: .soon) }
        for node: UInt32 in 1...3 {
            let calls = fixture.shards.calls(to: node) - before[Int(node) - 1]
            #expect(calls == (NodeID(node) == primary ? 10 : 0))
        }
    }

    @Test func scrollPagesThroughAllShardsInOrderOfIDs() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        let numbers = (0..<25).map { PointID.number($0 * 7) }
        let uuids = (0..<10).map { PointID.uuid(high: 1, low: $0) }
        let ids = (numbers + uuids).sorted()
        _ = try await fixture.coordinator.upsert(ids.shuffled().map { point($0) }, into: "c", deadline: .soon)
        for limit in [1, 7, 35, 100] {
            var seen: [PointID] = []
            var start: PointID?
            repeat {
                let page = try await fixture.coordinator.scroll(
                    ScrollRequest(start: start, limit: limit, withPayload: false, withVectors: .none), through: "c",
                    replica: nil, deadline: .soon)
                #expect(page.records.count <= limit)
                seen += page.records.map(\.id)
                start = page.next
            } while start != nil
            #expect(seen == ids)
        }
    }

    @Test func retrieveKeepsTheOrderOfTheIDs() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        _ = try await fixture.coordinator.upsert(
            (0..<20).map { point(.number($0)) }, into: "c", deadline: .soon)
        let ids = [5, 17, 99, 5, 0, 11].map { PointID.number($0) }
        let found = try await fixture.coordinator.retrieve(
            RetrieveRequest(ids: ids, withPayload: false, withVectors: .none), from: "c", deadline: .soon)
        #expect(found.map(\.id) == [5, 17, 5, 0, 11].map { .number($0) })
    }
}

import Cluster
import Coordinator
import DataModel
import Testing

/// How many replicas a read asks, which may answer, and what becomes of shards that nobody answers for.
@Suite(.timeLimit(.minutes(1)))
struct ConsistencyTests {
    private func calls(_ fixture: Fixture, _ body: () async throws -> Void) async throws -> [Int] {
        let before = (1...3).map { fixture.shards.calls(to: $0) }
        try await body()
        return (1...3).map { fixture.shards.calls(to: $0) - before[Int($0) - 1] }
    }

    private func count(
        _ fixture: Fixture, _ consistency: ReadConsistency, partial: Bool = false, within: Duration = .seconds(20)
    ) async throws -> Reading<UInt64> {
        try await fixture.coordinator.count(
            nil, in: "c", options: ReadOptions(consistency: consistency, allowsPartial: partial),
            deadline: .after(within))
    }

    @Test(arguments: [
        (ReadConsistency.one, 1), (.factor(2), 2), (.factor(9), 3), (.majority, 2), (.quorum, 3), (.all, 3),
    ])
    func soManyReplicasAreAsked(consistency: ReadConsistency, expected: Int) async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 3)
        let calls = try await calls(fixture) {
            let reading = try await count(fixture, consistency)
            #expect(!reading.isStale && reading.missingShards.isEmpty)
        }
        #expect(calls.reduce(0, +) == expected && calls.allSatisfy { $0 <= 1 }, "\(calls)")
    }

    @Test func tooFewReplicasAreToldApartFromTheShardsNeed() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 3)
        try await fixture.die(3)
        await #expect {
            _ = try await count(fixture, .all)
        } throws: { isError($0, unavailable, "shard 0 of collection c", "needs 3", "2 are alive", "node 3: down") }
        for consistency in [ReadConsistency.majority, .quorum, .factor(2), .one] {
            #expect(try await count(fixture, consistency).value == 0)
        }
        try await fixture.die(2)
        await #expect {
            _ = try await count(fixture, .quorum)
        } throws: { isError($0, unavailable, "shard 0 of collection c", "needs 2", "1 are alive") }
    }

    @Test func aReplicaThatFailsIsReplacedWhereThereIsAnother() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 3)
        fixture.shards.set(.fails(.storage(reason: "a bad disk")), on: 2)
        #expect(try await count(fixture, .majority).value == 0)
        #expect(try await count(fixture, .quorum).value == 0)
        await #expect { _ = try await count(fixture, .all) } throws: { error in
            guard case .internalFailure(let reason)? = error as? DatabaseError else { return false }
            return reason.contains("shard 0 of collection c") && reason.contains("a bad disk")
        }
    }

    @Test func aReplicaThatHangsIsReplacedInAMajority() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 3)
        fixture.shards.set(.hangs, on: 1)
        for _ in 0..<20 { #expect(try await count(fixture, .majority).value == 0) }
    }

    @Test func aStaleReadIsAnsweredByWhoeverIsThereAndSaysSo() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 3)
        try await fixture.change { record in
            for index in record.replicas.indices where record.replicas[index].node != record.primary {
                record.replicas[index].state = .catchingUp
            }
        }
        let primary = try fixture.shard().primary.rawValue
        for node: UInt32 in 1...3 where node == primary {
            try await fixture.die(node)
            fixture.shards.set(.fails(.unreachable(reason: "refused")), on: node)
        }
        let reading = try await count(fixture, .stale)
        #expect(reading.isStale && reading.missingShards.isEmpty)
        await #expect {
            _ = try await count(fixture, .one, within: .milliseconds(200))
        } throws: { isError($0, unavailable, "shard 0 of collection c", "no in-sync replica is alive", "catching up") }
    }

    @Test func onlyStaleReadsTellReplicasThatTheyMayBe() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 3)
        _ = try await count(fixture, .all)
        #expect(fixture.shards.with { $0.staleCalls } == 0)
        _ = try await count(fixture, .stale)
        #expect(fixture.shards.with { $0.staleCalls } == 1)
    }

    @Test func shardsWithoutAReplicaAreLeftOutOnlyOfPartialReads() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 3, copies: 1)
        let ids = (0..<60).map { PointID.number($0) }
        _ = try await fixture.coordinator.upsert(ids.map { point($0) }, into: "c", deadline: .soon)
        let missing = try #require(
            fixture.cache.current.routing(of: "c")?.shards.map(\.value).filter { $0.primary == NodeID(2) }
                .map(\.id.number))
        #expect(missing.count == 1)
        try await fixture.die(2)
        fixture.shards.set(.fails(.unreachable(reason: "refused")), on: 2)
        await #expect {
            _ = try await count(fixture, .one, within: .milliseconds(300))
        } throws: { isError($0, unavailable, "shard \(missing[0]) of collection c", "node 2: down") }
        let reading = try await count(fixture, .one, partial: true)
        #expect(reading.missingShards == missing)
        #expect((1..<60).contains(reading.value))
        let options = ReadOptions(allowsPartial: true)
        let found = try await fixture.coordinator.retrieve(
            RetrieveRequest(ids: ids, withPayload: false, withVectors: .none), from: "c", options: options,
            deadline: .soon)
        #expect(found.missingShards == missing && found.value.count == Int(reading.value))
        let page = try await fixture.coordinator.scroll(
            ScrollRequest(start: nil, limit: 100, withPayload: false, withVectors: .none), through: "c", replica: nil,
            options: options, deadline: .soon)
        #expect(page.missingShards == missing && page.value.records.count == Int(reading.value))
        let hits = try await fixture.coordinator.query(
            [Query(target: .vector([0, 0, 0, 0]))], in: "c", options: options, deadline: .soon)
        #expect(hits.missingShards == missing)
    }

    @Test func aShardThatHangsIsLeftOutOfAPartialReadBeforeItsTimeIsUp() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 3, copies: 1)
        fixture.shards.set(.hangs, on: 3)
        let reading = try await count(fixture, .one, partial: true, within: .milliseconds(800))
        #expect(reading.missingShards.count == 1)
    }

    @Test func aReadWhoseTimeIsUpAsksNobody() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        let calls = try await calls(fixture) {
            await #expect { _ = try await count(fixture, .one, within: .milliseconds(-1)) } throws: {
                isError($0, late, "deadline")
            }
        }
        #expect(calls == [0, 0, 0])
    }
}

import Cluster
import Coordinator
import DataModel
import Testing

@Suite(.timeLimit(.minutes(1)))
struct WritingTests {
    @Test func pointsGoToTheShardsOfTheirVirtualShardsInOrder() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        let points = (0..<100).map { point(.number($0 % 60), [Float($0), 0, 0, 0]) }
        _ = try await fixture.coordinator.upsert(points, into: "c", deadline: .soon)
        let table = try #require(fixture.cache.current.routing(of: "c"))
        let operations = fixture.shards.with { $0.operations }
        var seen = 0
        for (shard, written) in operations {
            #expect(written.count == 1)
            guard case .upsert(let part) = written[0] else { continue }
            seen += part.count
            for point in part { #expect(table.shardIndex(of: point.id) == Int(shard.number.rawValue)) }
            let order = part.compactMap { $0.vectors[""]?[0] }
            #expect(order == order.sorted())
        }
        #expect(seen == 100)
        #expect(try await fixture.coordinator.count(nil, in: "c", deadline: .soon) == 60)
    }

    @Test func writeFollowsThePrimaryWithTheNewEpoch() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 2)
        let old = try fixture.shard()
        let next = try #require(old.inSync.first { $0 != old.primary })
        fixture.shards.set(.fails(.notPrimary), on: old.primary.rawValue)
        try await fixture.change { $0.primary = next }
        _ = try await fixture.coordinator.upsert([point(.number(1))], into: "c", deadline: .soon)
        #expect(fixture.shards.with { $0.epochs } == [old.epoch.next])
    }

    @Test func writeToAStoppedPrimaryGoesOnWithTheNextOne() async throws {
        let fixture = try await Fixture()
        let following = Task { [cache = fixture.cache] in await cache.run() }
        defer { following.cancel() }
        try await fixture.create(shards: 1, copies: 2)
        let old = try fixture.shard()
        let next = try #require(old.inSync.first { $0 != old.primary })
        fixture.shards.set(.hangs, on: old.primary.rawValue)
        async let written = fixture.coordinator.upsert([point(.number(1))], into: "c", deadline: .soon)
        try await fixture.change { $0.primary = next }
        #expect(try await written == SequenceNumber(1))
    }

    /// A shard knows a write again by its name, so each try has the same one, and two writes never do.
    @Test func allTriesOfAWriteHaveItsName() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 1)
        let primary = try fixture.shard().primary.rawValue
        fixture.shards.set(.failsFirst(3, .unreachable(reason: "the answer was lost")), on: primary)
        _ = try await fixture.coordinator.upsert([point(.number(1))], into: "c", deadline: .soon)
        _ = try await fixture.coordinator.upsert([point(.number(1))], into: "c", deadline: .soon)
        let stamps = fixture.shards.with { $0.writes.map(\.stamp) }
        #expect(stamps.count == 5 && stamps[0] != nil)
        #expect(stamps[..<4].allSatisfy { $0 == stamps[0] } && stamps[4] != stamps[0])
    }

    @Test func conditionsGoToTheShardsOfTheirPointsUnderTheClientsName() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        let ids = (0..<60).map { PointID.number($0) }
        let write = WriteRequest(
            .delete(ids), conditions: ids.map { WriteCondition(id: $0, version: SequenceNumber(3)) }
        ).named(RequestName("mine"))
        _ = try await fixture.coordinator.write(write, to: "c", deadline: .soon)
        let writes = fixture.shards.with { $0.writes }
        #expect(writes.count == 3)
        for part in writes {
            #expect(part.operation == .delete(part.conditions.map(\.id)))
            #expect(part.stamp == write.stamp)
        }
    }

    @Test func aConflictTellsWhichShardsHaveDoneTheirParts() async throws {
        let fixture = try await Fixture()
        try await fixture.create(copies: 1)
        let shards = try #require(fixture.cache.current.routing(of: "c")?.shards.map(\.value))
        let refusing = try #require(shards.first { first in shards.filter { $0.primary == first.primary }.count == 1 })
        let conflict = VersionConflict(point: .number(1), expected: .zero, actual: SequenceNumber(4))
        fixture.shards.set(.fails(.versionConflict(conflict)), on: refusing.primary.rawValue)
        let expected = WriteConflict(
            refusals: [.init(shard: refusing.id.number, conflict: conflict)],
            applied: shards.map(\.id.number).filter { $0 != refusing.id.number })
        await #expect(throws: DatabaseError.writeConflict(expected)) {
            try await fixture.coordinator.upsert(
                (0..<60).map { point(.number($0)) }, into: "c", deadline: .soon)
        }
    }

    @Test func settledReadsAskPrimariesOnly() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 2)
        let shard = try fixture.shard()
        let backup = try #require(shard.inSync.first { $0 != shard.primary })
        fixture.shards.set(.failsFirst(2, .notServing(reason: "it is taking over")), on: shard.primary.rawValue)
        _ = try await fixture.coordinator.upsert([point(.number(1))], into: "c", deadline: .soon)
        let before = fixture.shards.calls(to: backup.rawValue)
        let request = RetrieveRequest(ids: [.number(1)], withPayload: false, withVectors: .none, isSettled: true)
        for _ in 0..<10 {
            #expect(try await fixture.coordinator.retrieve(request, from: "c", deadline: .soon).count == 1)
        }
        #expect(fixture.shards.calls(to: backup.rawValue) == before)
    }

    @Test func writeThatFindsNoPrimaryNamesTheShard() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 1)
        let primary = try fixture.shard().primary
        _ = try await fixture.store.transaction(guards: [], mutations: [.delete(key: ControlKey.live(primary))])
        await #expect {
            _ = try await fixture.coordinator.delete(
                [.number(1)], from: "c", deadline: .after(.milliseconds(200)))
        } throws: { isError($0, unavailable, "shard 0", "is down") }
    }

    @Test func hardFailuresAreNotTriedAgain() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 1)
        let primary = try fixture.shard().primary.rawValue
        let before = fixture.shards.calls(to: primary)
        fixture.shards.set(.fails(.outOfSpace(reason: "map full")), on: primary)
        await #expect {
            _ = try await fixture.coordinator.upsert([point(.number(1))], into: "c", deadline: .soon)
        } throws: { error in
            guard case .outOfSpace(let reason) = error as? DatabaseError else { return false }
            return reason.contains("shard 0")
        }
        #expect(fixture.shards.calls(to: primary) == before + 1)
    }

    @Test func badPointsAreRefusedByFieldBeforeAnythingIsSent() async throws {
        let fixture = try await Fixture()
        try await fixture.create([
            VectorSpace(name: "", dimension: 4, distance: .dot),
            VectorSpace(name: "title", dimension: 2, distance: .dot),
        ])
        let good = point(.number(1))
        var wrongDimension = point(.number(2))
        wrongDimension.vectors[""] = [1, 2, 3]
        var wrongNamed = point(.number(3))
        wrongNamed.vectors["title"] = [1]
        var unknown = point(.number(4))
        unknown.vectors["body"] = [1]
        var missing = point(.number(5))
        missing.vectors[""] = nil
        for (bad, words) in [
            (wrongDimension, "points[1].vector: 3 components where the vector space has 4"),
            (wrongNamed, "points[1].vector.title: 1 components where the vector space has 2"),
            (unknown, "points[1].vector.body: unknown vector name"), (missing, "points[1].vector is missing"),
        ] {
            await #expect {
                _ = try await fixture.coordinator.upsert([good, bad], into: "c", deadline: .soon)
            } throws: { isError($0, invalid, words) }
        }
        #expect(fixture.shards.with { $0.operations }.isEmpty)
    }

    @Test func queriesAreCheckedAgainstTheSchema() async throws {
        let fixture = try await Fixture()
        try await fixture.create([VectorSpace(name: "title", dimension: 2, distance: .dot)])
        for (query, words) in [
            (Query(target: .vector([1, 2]), space: "body"), "unknown vector name 'body'"),
            (Query(target: .vector([1, 2])), "no unnamed vector"),
            (Query(target: .vector([1]), space: "title"), "1 components where the vector space has 2"),
        ] {
            await #expect {
                _ = try await fixture.coordinator.query([query], in: "c", deadline: .soon)
            } throws: { isError($0, invalid, words) }
        }
    }
}

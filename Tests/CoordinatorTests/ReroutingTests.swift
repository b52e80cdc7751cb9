import Cluster
import Coordinator
import DataModel
import Testing

/// Requests that are under way when their shard is split.
@Suite(.timeLimit(.minutes(1)))
struct ReroutingTests {
    /// Splits the only shard of `c` while `body` waits for its replicas, and moves its points.
    private func split<Value: Sendable>(
        _ fixture: Fixture, during body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let old = try fixture.shard()
        fixture.shards.with { _ = $0.gone.insert(old.id) }
        let calls = (1...3).reduce(0) { $0 + fixture.shards.calls(to: $1) }
        async let value = body()
        // It has met the old shard.
        while (1...3).reduce(0, { $0 + fixture.shards.calls(to: $1) }) == calls { await Task.yield() }
        var mutations = [ControlMutation.delete(key: ControlKey.shard(old.id))]
        for (number, ranges) in Resharding.divide(old.virtualShards, into: 2).enumerated() {
            var new = ShardRecord(
                id: ShardID(collection: old.id.collection, number: ShardNumber(UInt32(number + 1))),
                virtualShards: ranges, replicas: old.replicas, primary: old.primary)
            new.epoch = Epoch(3)
            mutations.append(.put(key: ControlKey.shard(new.id), value: new.encoded))
        }
        fixture.shards.with { state in
            for (id, point) in state.points.removeValue(forKey: old.id) ?? [:] {
                let number: UInt32 = VirtualShard(of: id, count: 32).rawValue < 16 ? 1 : 2
                let new = ShardID(collection: old.id.collection, number: ShardNumber(number))
                state.points[new, default: [:]][id] = point
            }
        }
        _ = try await fixture.store.transaction(guards: [], mutations: mutations)
        return try await value
    }

    private func filled() async throws -> Fixture {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 2)
        let points = (0..<40).map { point(.number($0)) }
        _ = try await fixture.coordinator.write(WriteRequest(.upsert(points)), to: "c", deadline: .soon)
        return fixture
    }

    @Test func readsBeginAnewAndFindEachPointOnce() async throws {
        let fixture = try await filled()
        let coordinator = fixture.coordinator
        #expect(try await split(fixture) { try await coordinator.count(nil, in: "c", options: ReadOptions(), deadline: .soon).value } == 40)
        let again = try await filled()
        let other = again.coordinator
        let page = try await split(again) {
            try await other.scroll(
                ScrollRequest(start: nil, limit: 100, withPayload: false, withVectors: .none), through: "c",
                replica: nil, options: ReadOptions(), deadline: .soon).value
        }
        #expect(page.records.map(\.id) == (0..<40).map { .number($0) })
    }

    @Test func writesAreDividedAnew() async throws {
        let fixture = try await filled()
        let coordinator = fixture.coordinator
        _ = try await split(fixture) {
            try await coordinator.write(
                WriteRequest(.upsert((40..<60).map { point(.number($0)) })), to: "c", deadline: .soon)
        }
        #expect(try await coordinator.count(nil, in: "c", options: ReadOptions(), deadline: .soon).value == 60)
        let table = try #require(fixture.cache.current.routing(of: "c"))
        for (shard, points) in fixture.shards.with({ $0.points }) {
            for id in points.keys {
                #expect(table.shardIndex(of: id).map { table.shards[$0].value.id } == shard)
            }
        }
        _ = try await coordinator.write(
            WriteRequest(.delete((0..<50).map { .number($0) })), to: "c", deadline: .soon)
        #expect(try await coordinator.count(nil, in: "c", options: ReadOptions(), deadline: .soon).value == 10)
    }

    @Test func thoseThatTakeAShardsPlaceGetItsWriteUnderTheSameNameAndForItsVirtualShards() async throws {
        let fixture = try await filled()
        let coordinator = fixture.coordinator
        let write = WriteRequest(.upsert((40..<60).map { point(.number($0)) })).named(RequestName("order"))
        let owned = VirtualShardSet(try fixture.shard().virtualShards)
        _ = try await split(fixture) { try await coordinator.write(write, to: "c", deadline: .soon) }
        let stamps = fixture.shards.with { $0.writes.compactMap(\.stamp) }.filter { $0.name == RequestName("order") }
        #expect(stamps.count == 3 && stamps.first == write.stamp)
        for stamp in stamps.dropFirst() {
            #expect(stamp == RequestStamp(name: RequestName("order"), digest: stamps[0].digest, scope: owned))
        }
    }

    /// Found by a review: with the scope of the shard that is gone first, both parts said that they were for all of it, and
    /// the one that took the place of both took the second for done.
    @Test func partsForTwoThatAreMergedAgainAreForVirtualShardsOfTheirOwn() async throws {
        let fixture = try await filled()
        let (coordinator, old) = (fixture.coordinator, try fixture.shard())
        let ids = (0...3 as ClosedRange<UInt32>).map { ShardID(collection: old.id.collection, number: ShardNumber($0)) }
        fixture.shards.with { state in for id in ids.dropLast() { state.gone.insert(id) } }
        let write = WriteRequest(.upsert((40..<60).map { point(.number($0)) })).named(RequestName("order"))
        async let written = coordinator.write(write, to: "c", deadline: .soon)

        func replace(_ gone: [ShardID], by shards: [(ShardID, [VirtualShardRange])], afterWrites count: Int) async throws {
            while fixture.shards.with({ $0.writes.count { $0.stamp?.name == RequestName("order") } }) < count {
                await Task.yield()
            }
            let new = shards.map { id, ranges in
                ShardRecord(
                    id: id, virtualShards: ranges, replicas: old.replicas, primary: old.primary, epoch: Epoch(5))
            }
            _ = try await fixture.store.transaction(
                guards: [],
                mutations: gone.map { .delete(key: ControlKey.shard($0)) }
                    + new.map { .put(key: ControlKey.shard($0.id), value: $0.encoded) })
        }

        let halves = Resharding.divide(old.virtualShards, into: 2)
        try await replace([ids[0]], by: [(ids[1], halves[0]), (ids[2], halves[1])], afterWrites: 1)
        try await replace([ids[1], ids[2]], by: [(ids[3], old.virtualShards)], afterWrites: 3)
        _ = try await written
        let scopes = fixture.shards.with { $0.writes.suffix(2).compactMap(\.stamp?.scope) }
        #expect(Set(scopes) == Set(halves.map { VirtualShardSet($0) }))
    }

    @Test func aShardThatIsBeingFilledIsNoPartOfTheMap() async throws {
        let fixture = try await filled()
        let old = try fixture.shard()
        let new = ShardRecord(
            id: ShardID(collection: old.id.collection, number: ShardNumber(9)), virtualShards: old.virtualShards,
            replicas: old.replicas, primary: old.primary, filling: .init(operation: "op", incarnation: 1))
        try await fixture.store.put(ControlKey.shard(new.id), value: new.encoded)
        #expect(try await fixture.coordinator.count(nil, in: "c", options: ReadOptions(), deadline: .soon).value == 40)
        let table = try await fixture.coordinator.shardTables(collection: "c", deadline: .soon)
        #expect(table[0].shards.map(\.isFilling) == [false, true])
        let plan = try await fixture.coordinator.reshard(
            ReshardRequest(collection: "c", change: .split(nil, into: 4)), dryRun: true, deadline: .soon)
        #expect(plan.steps.map(\.from) == [[ShardNumber(0)]] && plan.operations.isEmpty)
    }
}

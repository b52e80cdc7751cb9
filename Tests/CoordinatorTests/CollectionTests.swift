import Cluster
import Coordinator
import DataModel
import Testing

@Suite(.timeLimit(.minutes(1)))
struct CollectionTests {
    @Test func nameIsTakenOnce() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        await #expect(throws: DatabaseError.collectionExists("c")) { try await fixture.create() }
        #expect(try await fixture.coordinator.collectionNames() == ["c"])
        #expect(try await fixture.coordinator.collectionExists("c"))
        #expect(try await fixture.coordinator.collectionExists("d") == false)
    }

    @Test func everyVirtualShardHasAnOwner() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 5)
        let table = try #require(fixture.cache.current.routing(of: "c"))
        for slot: UInt16 in 0..<32 { #expect(table.shardIndex(of: VirtualShard(slot)) != nil) }
    }

    @Test func collectionWhoseReplicasDoNotOpenIsNotCreated() async throws {
        let fixture = try await Fixture()
        fixture.shards.set(.fails(.notServing(reason: "opening")), on: 2)
        await #expect {
            try await fixture.coordinator.createCollection(
                "c",
                config: CollectionConfig(
                    spaces: [VectorSpace(name: "", dimension: 4, distance: .dot)],
                    physicalShards: 3, replicationFactor: 2), deadline: .after(.milliseconds(200)))
        } throws: { isError($0, late, "node 2") }
        #expect(try await fixture.coordinator.collectionExists("c") == false)
    }

    @Test func healthFollowsTheReplicas() async throws {
        let fixture = try await Fixture()
        try await fixture.create()
        #expect(try await fixture.coordinator.collection("c", deadline: .soon).health == .green)
        fixture.shards.set(.fails(.unreachable(reason: "refused")), on: 3)
        #expect(try await fixture.coordinator.collection("c", deadline: .soon).health == .yellow)
        fixture.shards.set(.fails(.unreachable(reason: "refused")), on: 2)
        #expect(try await fixture.coordinator.collection("c", deadline: .soon).health == .red)
        let table = try #require(try await fixture.coordinator.shardTables(collection: "c", deadline: .soon).first)
        let states = Set(table.shards.flatMap(\.replicas).filter { $0.node != NodeID(1) }.map(\.state))
        #expect(states == [.unreachable])
    }

    @Test func anIndexIsThereWhenEveryInSyncReplicaHoldsIt() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 3)
        let index = PayloadIndexConfig(path: PayloadPath("n"), kind: .integer)
        try await fixture.coordinator.createPayloadIndex(index, on: "c", deadline: .soon)
        func isBuilt(within patience: Duration) async throws -> Bool {
            try await fixture.coordinator.waitForPayloadIndex(index, on: "c", deadline: .after(patience))
        }
        func report(_ progress: Double, by node: UInt32) {
            fixture.shards.with {
                $0.payloadIndexes[NodeID(node)] = [PayloadIndexStatus(config: index, progress: progress, points: 1)]
            }
        }
        #expect(try await isBuilt(within: .milliseconds(20)) == false, "nobody was told of it yet")
        for node: UInt32 in 1...2 { report(1, by: node) }
        report(0.9, by: 3)
        #expect(try await isBuilt(within: .milliseconds(20)) == false)
        async let waiting = isBuilt(within: .seconds(60))
        report(1, by: 3)
        #expect(try await waiting)
        try await fixture.coordinator.deletePayloadIndex(at: index.path, of: "c", deadline: .soon)
        #expect(try await isBuilt(within: .seconds(60)) == false, "nobody waits for one that was dropped")
    }

    @Test func movesAreCheckedAndRecorded() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 2)
        let shard = try fixture.shard()
        let from = shard.primary
        let other = try #require(shard.inSync.first { $0 != from })
        let free = try #require((1...3).map { NodeID($0) }.first { shard.replica(on: $0) == nil })
        func move(_ shard: UInt32, _ from: NodeID, _ to: NodeID) async throws -> OperationStatus {
            try await fixture.coordinator.move(
                MoveRequest(collection: "c", shard: ShardNumber(shard), from: from, to: to), deadline: .soon)
        }
        for (arguments, words) in [
            ((1, from, free), "no shard 1"), ((0, free, from), "has no replica"), ((0, from, NodeID(9)), "no node 9"),
            ((0, from, other), "has a replica"),
        ] as [((UInt32, NodeID, NodeID), String)] {
            await #expect {
                _ = try await move(arguments.0, arguments.1, arguments.2)
            } throws: { isError($0, invalid, words) }
        }
        let operation = try await move(0, from, free)
        #expect(operation.state == .planned)
        #expect(operation.bytesTotal == 4_096)
        await #expect { _ = try await move(0, from, free) } throws: { isError($0, invalid, "is not over yet") }
        let cancelled = try await fixture.coordinator.cancelOperation(operation.id)
        #expect(cancelled.id == operation.id)
        #expect(try await fixture.coordinator.operations().map(\.id) == [operation.id])
        await #expect(throws: DatabaseError.operationNotFound("nope")) {
            try await fixture.coordinator.cancelOperation("nope")
        }
    }
}

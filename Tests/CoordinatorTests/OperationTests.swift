import Cluster
import Coordinator
import DataModel
import Testing

@Suite struct OperationTests {
    private func kill(_ node: UInt32, _ fixture: Fixture) async throws {
        let entry = try await fixture.store.get(ControlKey.live(NodeID(node)))
        _ = try await fixture.store.transaction(
            guards: [ControlGuard(key: ControlKey.live(NodeID(node)), expected: entry?.modRevision)],
            mutations: [.delete(key: ControlKey.live(NodeID(node)))])
    }

    private func join(_ node: UInt32, _ fixture: Fixture) async throws {
        try await fixture.store.put(
            ControlKey.node(NodeID(node)),
            value: NodeRecord(id: NodeID(node), httpAddress: "h:\(node)", rpcHost: "h", rpcPort: 1).encoded)
        try await fixture.store.put(
            ControlKey.live(NodeID(node)),
            value: NodeLiveness(id: NodeID(node), incarnation: 1, pid: 1, startedAt: 0).encoded)
    }

    private func begin(_ request: OperationRequest, _ fixture: Fixture) async throws -> OperationStatus {
        try await fixture.coordinator.begin(request, maxBytesPerSecond: nil, deadline: .soon)
    }

    @Test func whatCannotBeIsRefusedWithTheFieldAndTheReason() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 3)
        let shard = ShardNumber(0)
        let refusals: [(OperationRequest, String)] = [
            (.replicate(collection: "c", shard: shard, to: NodeID(1)), "to: node 1 has a replica"),
            (.replicate(collection: "c", shard: shard, to: NodeID(9)), "to: the cluster has no node 9"),
            (.dropReplica(collection: "c", shard: shard, from: NodeID(9)), "from: node 9 has no replica"),
            (.setReplicationFactor(collection: "c", factor: 4), "factor: 4 replicas of a shard need as many nodes"),
            (.drain(NodeID(9)), "node: the cluster has no node 9"),
            (.drain(NodeID(1)), "node: no other node can take node 1's replica of c/0"),
            (.remove(NodeID(2)), "node: no other node can take node 2's replica of c/0"),
        ]
        for (request, words) in refusals {
            await #expect { _ = try await begin(request, fixture) } throws: { isError($0, invalid, words) }
            await #expect {
                _ = try await fixture.coordinator.plan(request, deadline: .soon)
            } throws: { isError($0, invalid, words) }
        }
        await #expect(throws: DatabaseError.collectionNotFound("d")) {
            _ = try await begin(.setReplicationFactor(collection: "d", factor: 1), fixture)
        }
        #expect(try await fixture.coordinator.operations().isEmpty)
    }

    @Test func aDeadNodeWithTheLastReplicaCannotBeRemoved() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 1, copies: 1)
        let holder = try fixture.shard().primary
        try await kill(holder.rawValue, fixture)
        for request in [OperationRequest.remove(holder), .drain(holder)] {
            await #expect { _ = try await begin(request, fixture) } throws: {
                isError($0, invalid, "node \(holder) is down and has the only replica of c/0")
            }
        }
        await #expect {
            _ = try await begin(.dropReplica(collection: "c", shard: ShardNumber(0), from: holder), fixture)
        } throws: { isError($0, invalid, "the only replica") }
    }

    @Test func aPlanIsRecordedWithItsOperation() async throws {
        let fixture = try await Fixture()
        try await fixture.create(shards: 6, copies: 2)
        try await join(4, fixture)
        let plan = try await fixture.coordinator.plan(.rebalance(by: nil), deadline: .soon)
        #expect(plan.steps.count == 3)
        #expect(plan.loads.map(\.node.rawValue) == [1, 2, 3, 4])
        #expect(
            plan.steps.allSatisfy { $0.kind == "move" && $0.to == NodeID(4) && $0.bytes == 4_096 && !$0.reason.isEmpty }
        )
        let begun = try await fixture.coordinator.begin(
            .rebalance(by: nil), maxBytesPerSecond: 5_000, deadline: .soon)
        #expect((begun.kind, begun.state, begun.stepsTotal) == ("rebalance", .planned, 3))
        #expect(begun.bytesTotal == 3 * 4_096)
        let record = try #require(try await fixture.cache.refreshIfStale().operations[begun.id]?.value)
        #expect(record.plan?.map(\.reason) == plan.steps.map(\.reason))
        #expect(record.maxBytesPerSecond == 5_000)
        // One at a time.
        await #expect { _ = try await begin(.rebalance(by: nil), fixture) } throws: {
            isError($0, invalid, "operation \(begun.id) is not over yet")
        }
    }

    @Test func aNodeThatIsDrainedGetsNoCollectionAndIsUndrained() async throws {
        let fixture = try await Fixture()
        let (one, three) = (NodeID(1), NodeID(3))
        let drain = try await begin(.drain(three), fixture)
        #expect((drain.kind, drain.subject, drain.stepsTotal) == ("drain", "node 3", 0))
        await #expect { _ = try await begin(.drain(three), fixture) } throws: { isError($0, invalid, "not over yet") }
        // As the controller does.
        try await fixture.store.put(
            ControlKey.draining(three), value: DrainingRecord(operation: drain.id).encoded)
        try await fixture.create(shards: 4, copies: 2)
        let state = try await fixture.cache.refreshIfStale()
        #expect(state.allShards.allSatisfy { $0.value.replica(on: three) == nil })
        #expect(
            try await fixture.coordinator.clusterStatus(deadline: .soon).nodes.map(\.draining) == [false, false, true])
        // One that runs is cancelled, one that is over is taken back.
        try await fixture.coordinator.undrain(three)
        let cancelled = try #require(try await fixture.cache.refreshIfStale().operations[drain.id]?.value)
        #expect(cancelled.state == .cancelling)
        var over = cancelled
        over.state = .cancelled
        try await fixture.store.put(ControlKey.operation(drain.id), value: over.encoded)
        try await fixture.coordinator.undrain(three)
        #expect(try await fixture.cache.refreshIfStale().isDraining(three) == false)
        await #expect { try await fixture.coordinator.undrain(one) } throws: { isError($0, invalid, "not drained") }
    }
}

import Cluster
import DataModel
import Testing

/// Operations in a cluster some of whose nodes do not come back: they end, and leave what is safe.
@Suite struct StuckOperationsTests {
    private func world(nodes: UInt32, replicas: Int) throws -> (World, ShardRecord) {
        var world = World()
        for node in 1...nodes { world.join(NodeID(node)) }
        world.put(ControlKey.cluster, ClusterRecord(id: "x"))
        let id = try world.create("c", shards: 1, replicas: replicas)
        world.settle()
        return (world, try #require(world.shard(id, 0)))
    }

    private func other(_ world: World, than shard: ShardRecord) throws -> NodeID {
        try #require(world.state.liveNodes.sorted().first { shard.replica(on: $0) == nil })
    }

    private let later = 1_000 + Controller.Options().deadNodePatienceSeconds + 1

    @Test func aCopyFromADeadPrimaryIsGivenUpInTheEnd() throws {
        var (world, shard) = try world(nodes: 3, replicas: 1)
        let target = try other(world, than: shard)
        world.plan("move", shard.id, from: shard.primary, to: target)
        world.settle()
        #expect(world.state.shard(shard.id)?.value.replica(on: target)?.state == .catchingUp)
        world.fall(shard.primary)
        world.settle()
        #expect(world.operation("move")?.detail == "waits for node \(shard.primary), which is not alive")
        world.settle(now: later)
        #expect(world.operation("move")?.state == .failed)
        // What has everything stays, dead or not; the place of the copy is free again.
        #expect(world.state.shard(shard.id)?.value.replicas.map(\.node) == [shard.primary])
    }

    @Test func noCopyIsBegunFromADeadPrimary() throws {
        var (world, shard) = try world(nodes: 3, replicas: 1)
        let target = try other(world, than: shard)
        world.fall(shard.primary)
        world.begin("copy", .replicate(collection: shard.id.collection, shard: shard.id.number, to: target))
        world.settle()
        #expect(world.state.shard(shard.id)?.value.replica(on: target) == nil)
        #expect(world.operation("copy")?.detail.contains("waits for node \(shard.primary)") == true)
        world.rise(shard.primary)
        world.runToEnd()
        #expect(world.operation("copy")?.state == .done)
    }

    @Test func aCancelledMoveEndsThoughItsSourceIsGone() throws {
        var (world, shard) = try world(nodes: 3, replicas: 1)
        let target = try other(world, than: shard)
        world.plan("move", shard.id, from: shard.primary, to: target)
        world.settle()
        world.change(shard.id) { $0 = (try? $0.promoting(target, by: $0.primary)) ?? $0 }
        world.cancel("move")
        world.fall(shard.primary)
        world.settle()
        #expect(world.operation("move")?.state == .cancelling)
        #expect(world.operation("move")?.detail == "waits: no other replica is in sync and alive")
        world.settle(now: later)
        #expect(world.operation("move")?.state == .cancelled)
        #expect(world.state.shard(shard.id)?.value.primary == target)
    }

    @Test func aPlannedDropWaitsForReplicasThatDiedSince() throws {
        var (world, shard) = try world(nodes: 3, replicas: 3)
        let backups = shard.inSync.filter { $0 != shard.primary }
        let kind = OperationRecord.Kind.dropReplica(
            collection: shard.id.collection, shard: shard.id.number, from: backups[0])
        world.begin(
            "factor", .setReplicationFactor(collection: shard.id.collection, factor: 2, former: 3),
            plan: [PlannedStep(kind: kind, reason: "a test", bytes: 0)])
        world.fall(backups[1])
        world.settle()
        #expect(world.operation("factor.1")?.state == .running)
        #expect(world.state.shard(shard.id)?.value.isInSync(backups[0]) == true)
        // It fails, and the one that is missed least is dropped instead.
        world.runToEnd(now: later)
        #expect(world.operation("factor.1")?.state == .failed)
        #expect(world.operation("factor")?.state == .done)
        #expect(Set(world.state.shard(shard.id)?.value.replicas.map(\.node) ?? []) == [shard.primary, backups[0]])
    }

    @Test func theOnlyReplicaThatHasEverythingIsNeverTheOneToDrop() throws {
        var (world, shard) = try world(nodes: 3, replicas: 2)
        let backup = try #require(shard.inSync.first { $0 != shard.primary })
        world.change(shard.id) { $0 = (try? $0.demoting(backup, by: $0.primary)) ?? $0 }
        world.fall(shard.primary)
        let plan = ReplicaPlanner.replicating(shard.id.collection, factor: 1, in: world.state, loads: [:])
        #expect(plan.steps.map(\.kind.source) == [backup])
    }

    /// A step that waited for a dead node once, and for its turn since, has all its patience again.
    @Test func theWaitForADeadNodeEndsWhenItIsBack() throws {
        var (world, shard) = try world(nodes: 3, replicas: 1)
        let target = try other(world, than: shard)
        world.fall(target)
        let kind = OperationRecord.Kind.move(
            collection: shard.id.collection, shard: shard.id.number, from: shard.primary, to: target)
        world.begin("all", .rebalance(by: nil), plan: [PlannedStep(kind: kind, reason: "a test", bytes: 0)])
        world.settle()
        #expect(world.operation("all.1")?.blockedSince == 1_000)
        world.rise(target)
        var options = Controller.Options()
        options.transfersPerNode = 0
        world.settle(options: options)
        #expect(world.operation("all.1")?.state == .planned && world.operation("all.1")?.blockedSince == nil)
    }

    @Test func aCancelledRemovalLeavesADrainedNodeDrained() throws {
        var (world, shard) = try world(nodes: 3, replicas: 1)
        world.begin("drain", .drain(node: shard.primary))
        world.runToEnd()
        #expect(world.operation("drain")?.state == .done)
        world.begin("remove", .remove(node: shard.primary))
        world.cancel("remove")
        world.settle()
        #expect(world.operation("remove")?.state == .cancelled)
        #expect(world.state.isDraining(shard.primary))
    }
}

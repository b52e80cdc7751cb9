import Cluster
import DataModel
import Testing

@Suite struct ControllerTests {
    private func world(nodes: Int = 3, shards: Int = 3, replicas: Int = 2) throws -> (World, CollectionID) {
        var world = World()
        for node in 1...nodes { world.join(NodeID(UInt32(node))) }
        let id = try world.create("c", shards: shards, replicas: replicas)
        world.settle()
        return (world, id)
    }

    private func id(_ collection: CollectionID, _ number: UInt32) -> ShardID {
        ShardID(collection: collection, number: ShardNumber(number))
    }

    private func finishCopy(_ world: inout World, _ shard: ShardID, _ node: NodeID) {
        world.change(shard) { record in
            record.replicas = record.replicas.map { $0.node == node ? ReplicaRecord(node: node, state: .inSync) : $0 }
            record.epoch = record.epoch.next
        }
    }

    private func reactToHandover(_ world: inout World, _ shard: ShardID) throws {
        let record = try #require(world.state.shard(shard)?.value)
        let target = try #require(record.handover)
        world.put(ControlKey.shard(shard), try record.handingOver(to: target, by: record.primary))
    }

    // MARK: - Failover

    @Test func aShardWhosePrimaryDiesGetsALiveInSyncOne() throws {
        var (world, id) = try world()
        let before = try #require(world.shard(id, 0))
        world.fall(before.primary)
        world.settle()
        let after = try #require(world.shard(id, 0))
        #expect(after.primary != before.primary)
        #expect(before.inSync.contains(after.primary))
        #expect(after.epoch == before.epoch.next)
        #expect(after.replica(on: before.primary)?.state == .catchingUp)
        #expect(world.state.allShards.allSatisfy { $0.value.violation == nil && world.state.isLive($0.value.primary) })
    }

    @Test func theLastInSyncReplicaStaysAlthoughItsNodeIsDead() throws {
        var (world, id) = try world()
        let record = try #require(world.shard(id, 0))
        let (primary, backup) = (record.primary, try #require(record.inSync.first { $0 != record.primary }))
        world.fall(backup)
        world.settle()
        #expect(world.shard(id, 0)?.inSync == [primary])
        world.fall(primary)
        world.rise(backup)
        world.settle()
        // The backup lacks what was acknowledged without it: it must not take over.
        #expect(world.shard(id, 0)?.inSync == [primary])
        #expect(world.shard(id, 0)?.primary == primary)
    }

    @Test func whoeverIsNotControllerDecidesNothing() throws {
        var (world, _) = try world()
        let elected = world.controller()
        let controller = try #require(elected)
        world.fall(try #require(world.state.liveNodes.first { $0 != controller }))
        for node in world.state.liveNodes where node != controller {
            #expect(Controller.reconcile(world.state, as: node, now: 1_000).isEmpty)
        }
        let actions = Controller.reconcile(world.state, as: controller, now: 1_000)
        #expect(!actions.isEmpty)
        // The role goes to another node before the actions arrive: none takes effect.
        world.put(ControlKey.controller, ControllerRecord(node: try #require(world.state.liveNodes.max())))
        for action in actions {
            let committed = world.commit(action)
            #expect(!committed)
        }
    }

    @Test func aClusterThatStartsWaitsForItsNodesAMoment() throws {
        var (world, id) = try world()
        let before = world.shard(id, 0)
        for node in world.state.liveNodes { world.fall(node) }
        world.rise(NodeID(1), startedAt: 2_000)
        world.settle(now: 2_001)
        #expect(world.state.allShards.allSatisfy { $0.value.epoch == before?.epoch })
        world.settle(now: 2_004)
        #expect(world.state.allShards.contains { $0.value.epoch != before?.epoch })
    }

    @Test func primariesReturnToANodeThatCameBack() throws {
        var (world, id) = try world(shards: 6)
        world.fall(NodeID(2))
        world.settle()
        world.rise(NodeID(2))
        for number in 0..<UInt32(6) where world.shard(id, number)?.replica(on: NodeID(2)) != nil {
            finishCopy(&world, self.id(id, number), NodeID(2))
        }
        for _ in 0..<10 {
            world.settle()
            for shard in world.state.allShards where shard.value.handover != nil {
                try reactToHandover(&world, shard.value.id)
            }
        }
        for node in 1...3 {
            #expect(world.state.allShards.count { $0.value.primary == NodeID(UInt32(node)) } == 2)
        }
        #expect(world.state.allShards.allSatisfy { $0.value.handover == nil })
    }

    // MARK: - Moves

    @Test func aMoveOfAPrimaryCopiesHandsOverAndRemoves() throws {
        var (world, id) = try world(nodes: 4, shards: 1)
        let before = try #require(world.shard(id, 0))
        let target = try #require((1...4).map { NodeID($0) }.first { before.replica(on: $0) == nil })
        world.plan("m", self.id(id, 0), from: before.primary, to: target)
        world.settle()
        #expect(world.operation("m")?.state == .running)
        #expect(world.shard(id, 0)?.replica(on: target)?.state == .catchingUp)
        #expect(world.shard(id, 0)?.epoch == before.epoch)
        finishCopy(&world, self.id(id, 0), target)
        world.settle()
        #expect(world.shard(id, 0)?.handover == target)
        try reactToHandover(&world, self.id(id, 0))
        world.settle()
        let after = try #require(world.shard(id, 0))
        #expect(after.primary == target)
        #expect(after.replica(on: before.primary) == nil)
        #expect(after.replicas.count == 2)
        #expect(world.operation("m")?.state == .done)
        world.settle(now: 200_000)
        #expect(world.operation("m") == nil)
    }

    @Test func aMoveWhoseSourceDiesInTheMiddleIsFinished() throws {
        var (world, id) = try world(nodes: 4, shards: 1)
        let before = try #require(world.shard(id, 0))
        let target = try #require((1...4).map { NodeID($0) }.first { before.replica(on: $0) == nil })
        world.plan("m", self.id(id, 0), from: before.primary, to: target)
        world.settle()
        world.fall(before.primary)
        world.settle()
        finishCopy(&world, self.id(id, 0), target)
        for _ in 0..<3 {
            world.settle()
            if world.shard(id, 0)?.handover != nil { try reactToHandover(&world, self.id(id, 0)) }
        }
        #expect(world.operation("m")?.state == .done)
        #expect(world.shard(id, 0)?.replica(on: before.primary) == nil)
    }

    @Test func aNodeReceivesOneReplicaAtATime() throws {
        var (world, id) = try world(nodes: 3, shards: 4)
        world.join(NodeID(4))
        for number in 0..<UInt32(3) {
            let from = try #require(world.shard(id, number)?.replicas.first?.node)
            world.plan("m\(number)", self.id(id, number), from: from, to: NodeID(4), createdAt: Double(number))
        }
        world.settle()
        let states = (0..<3).map { world.operation("m\($0)")?.state }
        #expect(states == [.running, .planned, .planned])
        #expect(world.operation("m1")?.detail.contains("node 4") == true)
    }

    @Test func impossibleMovesFailWithTheReason() throws {
        var (world, id) = try world()
        let record = try #require(world.shard(id, 0))
        let (a, b) = (record.replicas[0].node, record.replicas[1].node)
        let other = try #require((1...3).map { NodeID($0) }.first { record.replica(on: $0) == nil })
        world.plan("unknown", self.id(id, 0), from: a, to: NodeID(9))
        world.plan("there", self.id(id, 0), from: a, to: b)
        world.plan("absent", self.id(id, 0), from: other, to: a)
        world.plan("gone", self.id(CollectionID("x"), 0), from: a, to: other)
        world.settle()
        for name in ["unknown", "there", "absent", "gone"] {
            #expect(world.operation(name)?.state == .failed, "\(name)")
            #expect(world.operation(name)?.detail.isEmpty == false)
        }
        #expect(world.shard(id, 0) == record)
    }

    @Test func aMoveToANodeThatStaysDeadFailsAndLeavesNothingBehind() throws {
        var (world, id) = try world(nodes: 4, shards: 1)
        let before = try #require(world.shard(id, 0))
        let target = try #require((1...4).map { NodeID($0) }.first { before.replica(on: $0) == nil })
        world.plan("m", self.id(id, 0), from: before.primary, to: target)
        world.settle(now: 1_000)
        world.fall(target)
        world.settle(now: 1_001)
        #expect(world.operation("m")?.state == .running)
        #expect(world.operation("m")?.blockedSince == 1_001)
        world.settle(now: 1_700)
        #expect(world.operation("m")?.state == .failed)
        #expect(world.shard(id, 0)?.replica(on: target) == nil)
    }

    /// Such an operation said for ever that it was copying, held the node's only turn, and began the copy again each
    /// half second, which took what was left of the disk from the node's other replicas.
    @Test(arguments: [false, true]) func aCopyWithoutRoomFailsItsOperationAndLeavesNothingBehind(isMove: Bool) throws {
        var (world, id) = try world(nodes: 4, shards: 1)
        let before = try #require(world.shard(id, 0))
        let target = try #require((1...4).map { NodeID($0) }.first { before.replica(on: $0) == nil })
        let kind: OperationRecord.Kind =
            isMove
            ? .move(collection: id, shard: ShardNumber(0), from: before.primary, to: target)
            : .replicate(collection: id, shard: ShardNumber(0), to: target)
        world.begin("o", kind)
        world.settle()
        world.put(ControlKey.progress("o"), OperationProgress(bytesDone: 1, bytesTotal: 2))
        world.settle()
        #expect(world.operation("o")?.state == .running)
        let reason = "node \(target) has no room for a copy: out of space"
        world.put(ControlKey.progress("o"), OperationProgress(bytesDone: 1, bytesTotal: 2, lackOfRoom: reason))
        world.settle()
        #expect(world.operation("o")?.state == .failed)
        #expect(world.operation("o")?.detail == reason)
        #expect(world.shard(id, 0)?.replicas == before.replicas)
        // The turn is free, and another try is one of its own.
        world.begin("again", kind)
        world.settle()
        #expect(world.operation("again")?.state == .running)
        finishCopy(&world, self.id(id, 0), target)
        world.settle()
        if world.shard(id, 0)?.handover != nil { try reactToHandover(&world, self.id(id, 0)) }
        world.settle()
        #expect(world.operation("again")?.state == .done)
        #expect(world.shard(id, 0)?.isInSync(target) == true)
    }

    @Test func aCopyThatIsCompleteNeedsNoRoomAnyMore() throws {
        var (world, id) = try world(nodes: 4, shards: 1)
        let before = try #require(world.shard(id, 0))
        let target = try #require((1...4).map { NodeID($0) }.first { before.replica(on: $0) == nil })
        world.begin("r", .replicate(collection: id, shard: ShardNumber(0), to: target))
        world.settle()
        finishCopy(&world, self.id(id, 0), target)
        world.put(ControlKey.progress("r"), OperationProgress(bytesDone: 1, bytesTotal: 2, lackOfRoom: "no room"))
        world.settle()
        #expect(world.operation("r")?.state == .done)
    }

    @Test(arguments: [false, true]) func aCancelledMoveIsUndone(afterHandover: Bool) throws {
        var (world, id) = try world(nodes: 4, shards: 1)
        let before = try #require(world.shard(id, 0))
        let target = try #require((1...4).map { NodeID($0) }.first { before.replica(on: $0) == nil })
        world.plan("m", self.id(id, 0), from: before.primary, to: target)
        world.settle()
        if afterHandover {
            finishCopy(&world, self.id(id, 0), target)
            world.settle()
            try reactToHandover(&world, self.id(id, 0))
        }
        world.put(ControlKey.operation("m"), try #require(world.operation("m")).cancelled)
        for _ in 0..<3 {
            world.settle()
            if world.shard(id, 0)?.handover != nil { try reactToHandover(&world, self.id(id, 0)) }
        }
        #expect(world.operation("m")?.state == .cancelled)
        #expect(world.shard(id, 0)?.primary == before.primary)
        #expect(world.shard(id, 0)?.replica(on: target) == nil)
    }

    @Test func cancellingAnOperationThatHasNotBegunTouchesNoReplica() throws {
        var (world, id) = try world()
        let record = try #require(world.shard(id, 0))
        // It would have failed, because the target has a replica of its own right.
        world.plan("m", self.id(id, 0), from: record.replicas[0].node, to: record.replicas[1].node)
        world.put(ControlKey.operation("m"), try #require(world.operation("m")).cancelled)
        world.settle()
        #expect(world.operation("m")?.state == .cancelled)
        #expect(world.shard(id, 0) == record)
    }

    // MARK: - Collections

    @Test(arguments: [3, 300]) func aDeletedCollectionDisappears(shards: Int) throws {
        var world = World()
        for node in 1...3 { world.join(NodeID(UInt32(node))) }
        let id = CollectionID("c")
        let config = CollectionConfig(
            spaces: [VectorSpace(name: "", dimension: 4, distance: .cosine)], virtualShards: 512, physicalShards: shards
        )
        world.put(
            ControlKey.collection("c"),
            CollectionRecord(id: id, name: "c", config: config, state: .deleting, createdAt: 0))
        for shard in try Placement.place(id, config: config, in: world.state) {
            world.put(ControlKey.shard(shard.id), shard)
        }
        world.settle()
        #expect(world.state.collections.isEmpty)
        #expect(world.state.allShards.isEmpty)
    }

    @Test func creationsThatNobodyFinishesAreGivenUp() throws {
        var world = World()
        for node in 1...3 { world.join(NodeID(UInt32(node))) }
        try world.create("c", state: .creating)
        world.settle(now: 100)
        #expect(world.state.collections.count == 1)
        world.settle(now: 400)
        #expect(world.state.collections.isEmpty)
        #expect(world.state.allShards.isEmpty)
    }

    @Test func shardsWithoutACollectionAreRemoved() throws {
        var (world, _) = try world()
        world.commit([.delete(key: ControlKey.collection("c"))])
        world.settle()
        #expect(world.state.allShards.isEmpty)
    }
}

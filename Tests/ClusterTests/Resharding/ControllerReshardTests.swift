import Cluster
import DataModel
import Testing

/// What the controller, and the node that performs the cut-over, do of a split or a merge.
@Suite struct ControllerReshardTests {
    private func world(replicas: Int = 2) throws -> (World, CollectionID) {
        var world = World()
        for node: UInt32 in 1...3 { world.join(NodeID(node)) }
        // Without it nobody removes a file.
        world.put(ControlKey.cluster, ClusterRecord(id: "x"))
        let id = try world.create("c", shards: 3, replicas: replicas)
        world.settle()
        return (world, id)
    }

    private func split(_ world: inout World, _ id: CollectionID, _ number: UInt32 = 0, name: String = "op") throws {
        let record = try #require(world.shard(id, number))
        let plan = try Resharding.split(
            .init(number: record.id.number, virtualShards: record.virtualShards), into: 2, of: id)
        put(&world, plan, name)
    }

    private func put(_ world: inout World, _ plan: ReshardPlan, _ name: String = "op", at time: Double = 1_000) {
        world.put(
            ControlKey.operation(name),
            OperationRecord(id: name, kind: .reshard(plan), reason: "a test", createdAt: time))
    }

    private func filling(_ world: World, _ name: String = "op") throws -> [Stored<ShardRecord>] {
        world.state.fillingShards(of: try #require(world.operation(name)))
    }

    private func report(_ world: inout World, _ phase: OperationProgress.Filling.Phase, _ name: String = "op") throws {
        for shard in try filling(world, name) {
            world.put(
                ControlKey.progress(name, shard.value.id.number),
                OperationProgress(bytesDone: 1, bytesTotal: 1, filling: .init(phase: phase, rows: 1)))
        }
    }

    /// Lets the replicas of the new shards come in sync.
    private func copyReplicas(_ world: inout World, _ name: String = "op") throws {
        for shard in try filling(world, name) {
            world.change(shard.value.id) { record in
                record.replicas = record.replicas.map { ReplicaRecord(node: $0.node, state: .inSync) }
            }
        }
    }

    private func cutOver(_ world: inout World, _ name: String = "op") throws -> Bool {
        let operation = try #require(world.state.operations[name])
        var revisions: [ShardID: Revision] = [:]
        for id in operation.value.kind.shards { revisions[id] = world.state.shard(id)?.revision }
        guard let change = Resharding.cutOver(operation, sources: revisions, in: world.state) else { return false }
        return world.commit(guards: change.guards, change.mutations)
    }

    private func owners(_ world: World, _ id: CollectionID) -> [UInt32?] {
        let table = world.state.routing(of: id)
        return (0..<128).map { slot in
            table?.shardIndex(of: VirtualShard(UInt16(slot))).flatMap { table?.shards[$0].value.id.number.rawValue }
        }
    }

    @Test func aSplitIsFilledCopiedAndPutInThePlaceOfItsSource() throws {
        var (world, id) = try world()
        let source = try #require(world.shard(id, 0))
        let before = owners(world, id)
        try split(&world, id)
        world.settle()
        var shards = try filling(world)
        #expect(shards.map(\.value.id.number.rawValue) == [3, 4])
        #expect(shards.map(\.value.primary) == [source.primary] + source.inSync.filter { $0 != source.primary })
        #expect(shards.allSatisfy { $0.value.replicas.count == 1 && $0.value.violation == nil })
        // Nobody takes them for serving.
        #expect(owners(world, id) == before)
        #expect(world.state.allShards.count == 3)
        let early = try cutOver(&world)
        #expect(!early)

        try report(&world, .indexing)
        world.settle()
        #expect(try filling(world).allSatisfy { $0.value.replicas.count == 1 })
        try report(&world, .following)
        world.settle()
        #expect(try filling(world).allSatisfy { Set($0.value.replicas.map(\.node)) == Set(source.inSync) })
        #expect(Resharding.conductor(of: try #require(world.operation("op")), in: world.state) == nil)
        try copyReplicas(&world)
        world.settle()
        shards = try filling(world)
        #expect(Resharding.conductor(of: try #require(world.operation("op")), in: world.state) == shards[0].value.primary)
        // Nobody is held up for a shard that would not be there in time.
        try report(&world, .behind)
        world.settle()
        #expect(Resharding.conductor(of: try #require(world.operation("op")), in: world.state) == nil)
        #expect(world.operation("op")?.detail.contains("as fast as they come") == true)
        try report(&world, .following)
        world.settle()
        let isOver = try cutOver(&world)
        #expect(isOver)

        #expect(world.operation("op")?.state == .done)
        #expect(world.shard(id, 0) == nil)
        #expect(world.state.progress.isEmpty)
        #expect(world.state.collection("c")?.value.config.physicalShards == 4)
        for (slot, owner) in owners(world, id).enumerated() {
            #expect(owner == (before[slot] == 0 ? (slot < 21 ? 3 : 4) : before[slot]))
        }
        for shard in shards {
            let serving = try #require(world.state.shard(shard.value.id)?.value)
            #expect(serving.filling == nil && serving.epoch.rawValue == shard.value.epoch.rawValue + 2)
        }
        let left = world.settle()
        #expect(left.isEmpty)
        // The files of the old shard may go, those of the new ones may not.
        #expect(ReplicaHosting.mayRemove(source.id, on: source.primary, in: world.state))
        #expect(!ReplicaHosting.mayRemove(shards[0].value.id, on: shards[0].value.primary, in: world.state))
    }

    @Test func aMergePutsItsSourcesTogetherOnTheNodesOfItsAnchor() throws {
        var (world, id) = try world(replicas: 1)
        let sources = try [0, 1, 2].map { try #require(world.shard(id, $0)) }
        put(
            &world,
            try Resharding.merge(
                sources.map { source in
                    let isLargest = source.id.number == ShardNumber(1)
                    return .init(
                        number: source.id.number, virtualShards: source.virtualShards, bytes: isLargest ? 2 : 1)
                }, of: id))
        world.settle()
        #expect(try filling(world).map(\.value.primary) == [sources[1].primary])
        try report(&world, .following)
        world.settle()
        let isOver = try cutOver(&world)
        #expect(isOver)
        #expect(owners(world, id) == Array(repeating: 3, count: 128))
    }

    /// Nobody would add them later: the shard would have fewer copies than its collection asks for, for good.
    @Test func replicasOfDeadNodesHaveTheirPlacesBeforeTheCutOver() throws {
        var (world, id) = try world()
        let source = try #require(world.shard(id, 0))
        let dead = try #require(source.inSync.first { $0 != source.primary })
        world.fall(dead)
        world.settle()
        try split(&world, id)
        world.settle()
        try report(&world, .following)
        #expect(Resharding.conductor(of: try #require(world.operation("op")), in: world.state) == nil)
        world.settle()
        #expect(Resharding.conductor(of: try #require(world.operation("op")), in: world.state) == source.primary)
        let isOver = try cutOver(&world)
        #expect(isOver)
        for number: UInt32 in [3, 4] {
            #expect(Set(world.shard(id, number)?.replicas.map(\.node) ?? []) == [source.primary, dead])
        }
    }

    @Test func aMergeThatBeganBesideItsAnchorHasNoMoreReplicasThanItsShards() throws {
        var (world, id) = try world()
        let anchor = try #require(world.shard(id, 0))
        let other = try #require(
            world.state.shards(of: id).map(\.value).first { $0.replicas.contains { anchor.replica(on: $0.node) == nil } })
        put(
            &world,
            try Resharding.merge(
                [anchor, other].map {
                    .init(number: $0.id.number, virtualShards: $0.virtualShards, bytes: $0.id == anchor.id ? 2 : 1)
                }, of: id))
        for replica in anchor.replicas { world.fall(replica.node) }
        world.settle()
        for replica in anchor.replicas { world.join(replica.node) }
        try report(&world, .following)
        world.settle()
        let merged = try #require(try filling(world).first).value
        #expect(Set(merged.replicas.map(\.node)) == Set(other.replicas.map(\.node)))
    }

    /// The sources' primaries write their records anew before they take writes again.
    @Test func aCutOverThatComesTooLateChangesNothing() throws {
        var (world, id) = try world(replicas: 1)
        try split(&world, id)
        world.settle()
        try report(&world, .following)
        world.settle()
        let operation = try #require(world.state.operations["op"])
        let source = ShardID(collection: id, number: ShardNumber(0))
        let revision = try #require(world.state.shard(source)?.revision)
        let change = try #require(Resharding.cutOver(operation, sources: [source: revision], in: world.state))
        world.change(source) { _ in }
        let isCommitted = world.commit(guards: change.guards, change.mutations)
        #expect(!isCommitted)
        #expect(world.shard(id, 0) != nil)
        #expect(try filling(world).count == 2)
    }

    @Test func aCancelledReshardLeavesTheOldShardsAsTheyWere() throws {
        var (world, id) = try world()
        let before = world.state.servingShards(of: id)
        try split(&world, id)
        world.settle()
        try report(&world, .copying)
        let operation = try #require(world.state.operations["op"])
        world.put(ControlKey.operation("op"), operation.value.cancelled)
        let early = try cutOver(&world)
        #expect(!early)
        world.settle()
        #expect(world.operation("op")?.state == .cancelled)
        #expect(world.state.shards(of: id) == before)
        #expect(world.state.progress.isEmpty)
    }

    /// Whatever the dead process had begun is not gone on with, and no number is given out twice.
    @Test(arguments: [true, false]) func whatAProcessFilledThatIsGoneIsBegunAnew(isRestarted: Bool) throws {
        var (world, id) = try world()
        try split(&world, id)
        world.settle()
        let first = try filling(world)
        let node = first[0].value.primary
        if isRestarted {
            world.put(
                ControlKey.live(node), NodeLiveness(id: node, incarnation: 2, pid: 2, startedAt: 0))
        } else {
            world.fall(node)
        }
        world.settle()
        let second = try filling(world)
        #expect(second.map(\.value.id.number.rawValue) == [5, 6])
        #expect(second.allSatisfy { world.state.isLive($0.value.primary) })
        #expect(world.operation("op")?.restarts == 1)
        #expect(first.allSatisfy { world.state.shard($0.value.id) == nil })
        let settled = try filling(world)
        world.settle()
        #expect(try filling(world) == settled)
    }

    @Test func aFillingThatFailsIsBegunAnewAndGivenUpInTheEnd() throws {
        var (world, id) = try world(replicas: 1)
        let before = world.state.servingShards(of: id)
        try split(&world, id)
        world.settle()
        for _ in 0..<50 where world.operation("op")?.state == .running {
            try report(&world, .failed)
            world.settle()
        }
        #expect(world.operation("op")?.state == .failed)
        #expect(world.state.shards(of: id) == before)
    }

    @Test func aFillingThatHasNoRoomIsGivenUpAtOnce() throws {
        var (world, id) = try world(replicas: 1)
        let before = world.state.servingShards(of: id)
        try split(&world, id)
        world.settle()
        let node = try #require(try filling(world).first).value.primary
        try report(&world, .outOfSpace)
        world.settle()
        let operation = try #require(world.operation("op"))
        #expect(operation.state == .failed && operation.restarts == nil)
        #expect(operation.detail.contains("node \(node) has no room"), "\(operation.detail)")
        #expect(world.state.shards(of: id) == before)
    }

    @Test func aCopyThatHasNoRoomEndsTheSplit() throws {
        var (world, id) = try world()
        let before = world.state.servingShards(of: id)
        try split(&world, id)
        world.settle()
        try report(&world, .following)
        world.settle()
        let reason = "node 2 has no room for a copy: full"
        world.put(ControlKey.progress("op"), OperationProgress(bytesDone: 0, bytesTotal: 0, lackOfRoom: reason))
        world.settle()
        #expect(world.operation("op")?.state == .failed)
        #expect(world.operation("op")?.detail == reason)
        #expect(world.state.shards(of: id) == before)
    }

    /// It counts as in sync: with nothing it would pass for one that has everything, as soon as the shard serves.
    @Test func onlyThePrimaryOfAShardThatIsBeingFilledBeginsWithNothing() throws {
        var (world, id) = try world()
        try split(&world, id)
        world.settle()
        try report(&world, .following)
        world.settle()
        try copyReplicas(&world)
        let shard = try #require(try filling(world).first).value
        for replica in shard.replicas {
            #expect(
                ReplicaHosting.mayBeginEmpty(shard, on: replica.node, in: world.state)
                    == (replica.node == shard.primary))
        }
    }

    @Test func reshardsRunOneAfterAnotherAndNotBesideMoves() throws {
        var (world, id) = try world(replicas: 1)
        try split(&world, id, 0, name: "a")
        try split(&world, id, 1, name: "b")
        let source = try #require(world.shard(id, 0))
        let other = try #require(world.state.liveNodes.sorted().first { $0 != source.primary })
        world.plan("move", source.id, from: source.primary, to: other, createdAt: 2_000)
        world.settle()
        #expect(try filling(world, "a").count == 2)
        #expect(try filling(world, "b").isEmpty)
        #expect(world.operation("b")?.detail.contains("waits") == true)
        #expect(world.operation("move")?.state == .planned)
        try report(&world, .following, "a")
        world.settle()
        let isOver = try cutOver(&world, "a")
        #expect(isOver)
        world.settle()
        #expect(try filling(world, "b").count == 2)
        #expect(world.operation("move")?.state == .failed)
    }

    @Test func aReshardWaitsForAMoveOfItsShard() throws {
        var (world, id) = try world(replicas: 1)
        let source = try #require(world.shard(id, 0))
        let other = try #require(world.state.liveNodes.sorted().first { $0 != source.primary })
        world.plan("move", source.id, from: source.primary, to: other, createdAt: 500)
        world.settle()
        try split(&world, id)
        world.settle()
        #expect(try filling(world).isEmpty)
    }

    @Test func aReshardEndsWithItsCollection() throws {
        var (world, id) = try world()
        try split(&world, id)
        world.settle()
        var record = try #require(world.state.collection("c")?.value)
        record.state = .deleting
        world.put(ControlKey.collection("c"), record)
        world.settle()
        #expect(world.state.shards(of: id).isEmpty)
        #expect(world.operation("op")?.state == .failed)
        #expect(world.state.progress.isEmpty)
    }

    /// A shard that is missing in an incomplete map may have been lost: its files stay.
    @Test func filesOfAShardGoOnlyWhenOthersOwnAllThatItOwned() throws {
        var (world, id) = try world()
        let shard = try #require(world.shard(id, 0))
        world.commit([.delete(key: ControlKey.shard(shard.id))])
        #expect(!ReplicaHosting.mayRemove(shard.id, on: shard.primary, in: world.state))
    }
}

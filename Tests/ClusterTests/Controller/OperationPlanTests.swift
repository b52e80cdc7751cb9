import Cluster
import DataModel
import Testing

/// Operations that plan steps, on a simulated control store.
@Suite struct OperationPlanTests {
    private let options: Controller.Options = {
        var options = Controller.Options()
        options.balancesPrimaries = false
        return options
    }()

    private func world(
        nodes: Int, shards: Int = 6, replicas: Int = 2, writesNeed: Int = 1, zones: [String] = []
    ) throws -> (
        World, CollectionID
    ) {
        var world = World()
        for node in 1...nodes {
            world.join(NodeID(UInt32(node)), zone: zones.isEmpty ? nil : zones[(node - 1) % zones.count])
        }
        let id = try world.create("a", shards: shards, replicas: replicas)
        var collection = try #require(world.state.collection("a")?.value)
        collection.config.writeConsistencyFactor = writesNeed
        world.put(ControlKey.collection("a"), collection)
        return (world, id)
    }

    private func expectWhole(_ world: World, replicas: Int) {
        for shard in world.state.allShards.map(\.value) {
            #expect(shard.violation == nil)
            #expect(shard.inSync.count == replicas && shard.replicas.count == replicas, "\(shard)")
        }
    }

    // MARK: - Single shards

    @Test func aReplicationAddsAReplicaAndADropTakesItAway() throws {
        var (world, id) = try world(nodes: 3, shards: 1)
        let before = try #require(world.shard(id, 0))
        let free = try #require((1...3).map { NodeID($0) }.first { before.replica(on: $0) == nil })
        world.begin("r", .replicate(collection: id, shard: ShardNumber(0), to: free))
        world.runToEnd(options: options)
        #expect(world.operation("r")?.state == .done)
        expectWhole(world, replicas: 3)
        // The primary's: the role is passed on first.
        world.begin("d", .dropReplica(collection: id, shard: ShardNumber(0), from: before.primary))
        world.runToEnd(options: options)
        #expect(world.operation("d")?.state == .done)
        #expect(world.shard(id, 0)?.replica(on: before.primary) == nil)
        expectWhole(world, replicas: 2)
    }

    @Test func theLastLiveReplicaIsNotDropped() throws {
        var (world, id) = try world(nodes: 2, shards: 1)
        let shard = try #require(world.shard(id, 0))
        let backup = try #require(shard.inSync.first { $0 != shard.primary })
        world.fall(backup)
        world.begin("d", .dropReplica(collection: id, shard: ShardNumber(0), from: shard.primary))
        world.runToEnd(options: options)
        #expect(world.operation("d")?.state == .running)
        #expect(world.shard(id, 0)?.replica(on: shard.primary) != nil)
        world.cancel("d")
        world.settle(options: options)
        #expect(world.operation("d")?.state == .cancelled)
    }

    @Test func aDropThatWaitsTooLongForOtherReplicasFails() throws {
        var (world, id) = try world(nodes: 2, shards: 1)
        let shard = try #require(world.shard(id, 0))
        let backup = try #require(shard.inSync.first { $0 != shard.primary })
        world.fall(backup)
        world.begin("d", .dropReplica(collection: id, shard: ShardNumber(0), from: shard.primary))
        world.settle(now: 1_000, options: options)
        #expect(world.operation("d")?.blockedSince == 1_000)
        world.settle(now: 1_600, options: options)
        #expect(world.operation("d")?.state == .running)
        world.settle(now: 1_601, options: options)
        #expect(world.operation("d")?.state == .failed)
        #expect(world.shard(id, 0)?.replica(on: shard.primary) != nil)
    }

    /// The drop of one replica waited for another one's node, which had died for good; its removal waited for the drop.
    @Test func aFactorGoesDownAlthoughTheNodeDiesWhoseReplicaWasToStay() throws {
        var (world, id) = try world(nodes: 3, shards: 1, replicas: 3, writesNeed: 2)
        let shard = try #require(world.shard(id, 0))
        let backups = shard.inSync.filter { $0 != shard.primary }
        let step = PlannedStep(
            kind: .dropReplica(collection: id, shard: ShardNumber(0), from: backups[0]), reason: "r", bytes: 0)
        world.begin("f", .setReplicationFactor(collection: id, factor: 2, former: 3), plan: [step])
        world.settle(options: options, rounds: 2)
        world.fall(backups[1])
        world.runToEnd(options: options)
        #expect(world.operation("f.1")?.state == .running)
        #expect(world.operation("f.1")?.blockedSince == 1_000)
        world.begin("x", .remove(node: backups[1]))
        world.runToEnd(now: 1_500, options: options)
        #expect(world.operation("x")?.state == .running)
        world.runToEnd(now: 1_601, options: options)
        #expect(world.operation("f.1")?.state == .failed)
        #expect(world.operation("f")?.state == .done && world.operation("x")?.state == .done)
        #expect(world.shard(id, 0)?.replica(on: backups[1]) == nil)
        expectWhole(world, replicas: 2)
    }

    @Test func aDropWaitsForAReplicaThatCatchesUpHoweverLongItTakes() throws {
        var (world, id) = try world(nodes: 3, shards: 1, replicas: 3, writesNeed: 2)
        let shard = try #require(world.shard(id, 0))
        let backups = shard.inSync.filter { $0 != shard.primary }
        world.begin("d", .dropReplica(collection: id, shard: ShardNumber(0), from: backups[0]))
        world.change(shard.id) { record in
            record.replicas = record.replicas.map {
                $0.node == backups[1] ? ReplicaRecord(node: $0.node, state: .catchingUp) : $0
            }
        }
        for now: Double in [1_000, 5_000] {
            world.settle(now: now, options: options)
            #expect(world.operation("d")?.state == .running && world.operation("d")?.blockedSince == nil)
        }
        world.replicate()
        world.settle(now: 5_001, options: options)
        #expect(world.operation("d")?.state == .done)
    }

    @Test(arguments: [false, true]) func aCancelledReplicationLeavesNothingBehind(isInSync: Bool) throws {
        var (world, id) = try world(nodes: 3, shards: 1)
        let before = try #require(world.shard(id, 0))
        let free = try #require((1...3).map { NodeID($0) }.first { before.replica(on: $0) == nil })
        world.begin("r", .replicate(collection: id, shard: ShardNumber(0), to: free))
        world.settle(options: options)
        if isInSync { world.replicate() }
        world.cancel("r")
        world.runToEnd(options: options)
        #expect(world.operation("r")?.state == .cancelled)
        #expect(world.shard(id, 0)?.replica(on: free) == nil)
    }

    // MARK: - Draining

    @Test func aDrainedNodeHoldsNothingAndGetsNothing() throws {
        var (world, _) = try world(nodes: 4)
        world.begin("d", .drain(node: NodeID(4)))
        world.runToEnd(options: options)
        #expect(world.operation("d")?.state == .done)
        #expect(world.replicaCounts[4] == nil)
        expectWhole(world, replicas: 2)
        let counts = (1...3).map { world.replicaCounts[$0] ?? 0 }
        #expect(try #require(counts.max()) - #require(counts.min()) <= 1, "\(counts)")
        // Neither a new collection nor a rebalance nor a move gives it anything.
        let other = try world.create("b", shards: 8)
        #expect(world.state.shards(of: other).allSatisfy { $0.value.replica(on: NodeID(4)) == nil })
        #expect(Rebalancer.plan(world.state, loads: [:]).moves.isEmpty)
        let shard = try #require(world.shard(other, 0))
        world.plan("m", shard.id, from: shard.primary, to: NodeID(4))
        world.settle(options: options)
        #expect(world.operation("m")?.detail == "node 4 is being drained")
        // Its steps say why, and what they belong to.
        #expect(world.state.steps(of: "d").allSatisfy { $0.value.reason.contains("node 4 gives it up") })
    }

    @Test func noReplicaIsPlannedToReturnToTheNodeThatShallBeDrained() throws {
        let (world, _) = try world(nodes: 4, shards: 30)
        // Nobody knows of the drain when it is planned first.
        let plan = ReplicaPlanner.emptying(NodeID(4), in: world.state, loads: [:])
        #expect(plan.steps.count == 15 && plan.obstacles.isEmpty)
        #expect(plan.steps.allSatisfy { $0.kind.source == NodeID(4) && $0.kind.target != NodeID(4) })
    }

    @Test func aDrainGoesOnWhenItsControllerDies() throws {
        var (world, _) = try world(nodes: 4)
        world.begin("d", .drain(node: NodeID(4)))
        for round in 0..<200 {
            world.settle(options: options, rounds: 1)
            if round.isMultiple(of: 3) { world.replicate() }
            if round == 5, let controller = world.controller() { world.fall(controller) }
            if round == 60 {
                for node in 1...4 where !world.state.isLive(NodeID(UInt32(node))) { world.rise(NodeID(UInt32(node))) }
            }
        }
        world.runToEnd(options: options)
        #expect(world.operation("d")?.state == .done)
        #expect(world.replicaCounts[4] == nil)
        expectWhole(world, replicas: 2)
    }

    @Test func aCancelledDrainKeepsWhatWasMovedAndTakesTheMarkBack() throws {
        var (world, _) = try world(nodes: 4, shards: 16)
        world.begin("d", .drain(node: NodeID(4)))
        let before = try #require(world.replicaCounts[4])
        // Each of the three others receives one at a time.
        world.settle(options: options)
        world.replicate()
        world.settle(options: options)
        #expect(world.state.isDraining(NodeID(4)))
        world.cancel("d")
        world.runToEnd(options: options)
        #expect(world.operation("d")?.state == .cancelled)
        #expect(!world.state.isDraining(NodeID(4)))
        let after = world.replicaCounts[4] ?? 0
        #expect(0 < after && after < before, "\(before) -> \(after)")
        #expect(world.state.openOperations.isEmpty)
        expectWhole(world, replicas: 2)
    }

    @Test func aShardThatWasPlacedMeanwhileIsDrainedToo() throws {
        var (world, _) = try world(nodes: 4)
        // Placed by a coordinator that did not know of the drain yet.
        let late = try world.create("b", shards: 4)
        world.begin("d", .drain(node: NodeID(4)))
        world.settle(options: options, rounds: 2)
        world.change(ShardID(collection: late, number: ShardNumber(0))) { shard in
            if shard.replica(on: NodeID(4)) == nil { shard.replicas.append(.init(node: NodeID(4), state: .inSync)) }
        }
        world.runToEnd(options: options)
        #expect(world.operation("d")?.state == .done)
        #expect(world.replicaCounts[4] == nil)
        expectWhole(world, replicas: 2)
    }

    @Test func aDrainThatHasNoPlaceForAReplicaWaitsForOne() throws {
        var (world, _) = try world(nodes: 2)
        world.begin("d", .drain(node: NodeID(2)))
        world.runToEnd(options: options)
        #expect(world.operation("d")?.detail.contains("no other node can take") == true)
        world.join(NodeID(3))
        world.runToEnd(options: options)
        #expect(world.operation("d")?.state == .done)
        #expect(world.replicaCounts == [1: 6, 3: 6])
    }

    @Test func aFailoverRatherTakesANodeThatStays() throws {
        var (world, id) = try world(nodes: 3, shards: 1, replicas: 3)
        let shard = try #require(world.shard(id, 0))
        let others = shard.inSync.filter { $0 != shard.primary }
        world.put(ControlKey.draining(others[0]), DrainingRecord(operation: "d"))
        world.fall(shard.primary)
        world.settle(options: options)
        #expect(world.shard(id, 0)?.primary == others[1])
    }

    /// The drain's steps never ended, and so the drain did not.
    @Test func aDrainToANodeWithoutRoomFailsWithTheReason() throws {
        var (world, _) = try world(nodes: 2, shards: 1, replicas: 1)
        let shard = try #require(world.state.allShards.first?.value)
        let target = NodeID(3)
        let other = try #require((1...2).map { NodeID($0) }.first { $0 != shard.primary })
        world.join(target)
        world.put(ControlKey.draining(other), DrainingRecord(operation: "other"))
        world.begin("d", .drain(node: shard.primary))
        for _ in 0..<20 {
            world.settle(options: options)
            for step in world.state.steps(of: "d").map(\.value) where step.state == .running {
                let progress = OperationProgress(bytesDone: 1, bytesTotal: 2, lackOfRoom: "node 3 has no room")
                world.put(ControlKey.progress(step.id), progress)
            }
        }
        #expect(world.operation("d")?.state == .failed)
        #expect(world.operation("d")?.detail == "a step failed 3 times: node 3 has no room")
        #expect(world.shard(shard.id.collection, 0)?.replicas == shard.replicas)
    }

    // MARK: - Removing

    @Test func aRemovedNodeIsForgotten() throws {
        var (world, _) = try world(nodes: 4)
        world.begin("x", .remove(node: NodeID(4)))
        world.runToEnd(options: options)
        #expect(world.operation("x")?.state == .done)
        #expect(world.state.nodes[NodeID(4)] == nil)
        #expect(!world.state.isDraining(NodeID(4)))
        // Its process may live on for a moment.
        #expect(!world.state.accepts(NodeID(4)))
        expectWhole(world, replicas: 2)
    }

    @Test func theReplicasOfADeadNodeAreMadeAnewElsewhere() throws {
        var (world, _) = try world(nodes: 4)
        world.settle(options: options)
        world.fall(NodeID(4))
        world.settle(options: options)
        world.begin("x", .remove(node: NodeID(4)))
        world.runToEnd(options: options)
        #expect(world.operation("x")?.state == .done)
        #expect(world.state.nodes[NodeID(4)] == nil)
        expectWhole(world, replicas: 2)
    }

    @Test func aDeadNodeWithTheLastReplicaIsNotGivenUp() throws {
        var (world, _) = try world(nodes: 3, shards: 3, replicas: 1)
        world.fall(NodeID(2))
        world.settle(options: options)
        let outcome = ReplicaPlanner.emptying(NodeID(2), in: world.state, loads: [:])
        #expect(outcome.steps.isEmpty)
        #expect(outcome.obstacles.count == 1)
        #expect(outcome.obstacles.first?.contains("node 2 is down and has the only replica of a/") == true)
    }

    // MARK: - Replication factor

    @Test func theReplicationFactorGoesUpAndDown() throws {
        var (world, id) = try world(nodes: 4, shards: 5, replicas: 1)
        for (step, factor) in [2, 3, 2, 1].enumerated() {
            let former = world.state.collection("a")?.value.config.replicationFactor ?? 0
            world.begin("f\(step)", .setReplicationFactor(collection: id, factor: factor, former: former))
            world.runToEnd(options: options)
            #expect(world.operation("f\(step)")?.state == .done)
            #expect(world.state.collection("a")?.value.config.replicationFactor == factor)
            expectWhole(world, replicas: factor)
        }
    }

    @Test func aCancelledChangeOfTheFactorRestoresTheFormerOne() throws {
        var (world, id) = try world(nodes: 3, shards: 4, replicas: 1)
        world.begin("f", .setReplicationFactor(collection: id, factor: 2, former: 1))
        world.settle(options: options)
        #expect(world.state.collection("a")?.value.config.replicationFactor == 2)
        world.cancel("f")
        world.runToEnd(options: options)
        #expect(world.operation("f")?.state == .cancelled)
        #expect(world.state.collection("a")?.value.config.replicationFactor == 1)
        #expect(world.state.openOperations.isEmpty)
    }

    @Test func droppedReplicasAreThoseThatAreMissedLeast() throws {
        var (world, id) = try world(nodes: 3, shards: 1, replicas: 3, zones: ["a", "b", "b"])
        let shard = try #require(world.shard(id, 0))
        world.change(shard.id) { $0.primary = NodeID(2) }
        let crowded = ReplicaPlanner.replicating(id, factor: 2, in: world.state, loads: [:])
        #expect(crowded.steps.map(\.kind.source) == [NodeID(3)])
        #expect(crowded.steps.first?.reason.contains("zone b") == true)
        world.fall(NodeID(1))
        let dead = ReplicaPlanner.replicating(id, factor: 2, in: world.state, loads: [:])
        #expect(dead.steps.map(\.kind.source) == [NodeID(1)])
    }

    // MARK: - Rebalancing

    @Test func aRebalanceCarriesItsPlanOutAndEnds() throws {
        var (world, _) = try world(nodes: 3, shards: 12)
        world.join(NodeID(4))
        let plan = Rebalancer.plan(world.state, loads: [:]).moves.map { move in
            PlannedStep(
                kind: .move(collection: move.shard.collection, shard: move.shard.number, from: move.from, to: move.to),
                reason: move.reason, bytes: move.bytes)
        }
        #expect(plan.count == 6)
        world.begin("b", .rebalance(by: nil), plan: plan)
        world.runToEnd(options: options)
        #expect(world.operation("b")?.state == .done)
        #expect(world.state.steps(of: "b").map(\.value.id) == (1...6).map { "b.\($0)" })
        #expect(world.replicaCounts.values.allSatisfy { $0 == 6 })
        expectWhole(world, replicas: 2)
    }

    @Test func aLongPlanBecomesRecordsInBatches() throws {
        var (world, _) = try world(nodes: 3, shards: 120)
        for name in ["b", "c"] { try world.create(name, shards: 120) }
        world.begin("d", .drain(node: NodeID(3)))
        let elected = world.controller()
        let node = try #require(elected)
        var largest = 0
        for _ in 0..<20 {
            for action in Controller.reconcile(world.state, as: node, now: 1_000, options: options) {
                largest = max(largest, action.mutations.count)
                world.commit(action)
            }
        }
        #expect(largest <= ControlLimits.transactionOperations)
        #expect(world.replicaCounts[3] == 240)
        #expect(world.state.steps(of: "d").count == 240)
        #expect(world.operation("d")?.plan == nil)
    }

    @Test func aStepThatFailsFailsTheRebalanceUnlessItsShardIsGone() throws {
        for isDeleted in [false, true] {
            var (world, id) = try self.world(nodes: 3, shards: 1)
            let shard = try #require(world.shard(id, 0))
            let step = PlannedStep(
                kind: .move(collection: id, shard: ShardNumber(0), from: shard.primary, to: NodeID(9)), reason: "r",
                bytes: 0)
            if isDeleted {
                world.commit([
                    .delete(key: ControlKey.collection("a")), .delete(key: ControlKey.shard(shard.id)),
                ])
            }
            world.begin("b", .rebalance(by: nil), plan: [step])
            world.runToEnd(options: options)
            #expect(world.operation("b")?.state == (isDeleted ? .done : .failed))
        }
    }

    // MARK: - All at once

    @Test(arguments: 0..<30) func operationsOfAllKindsEndThroughFailures(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var (world, id) = try world(nodes: 6, shards: 5)
        var now = 1_000.0
        var planned = 0
        for _ in 0..<150 {
            now += 5
            let node = NodeID(UInt32.random(in: 1...6, using: &random))
            switch Int.random(in: 0..<10, using: &random) {
            case 0: world.fall(node)
            case 1, 2: if !world.state.isLive(node) { world.rise(node) }
            case 3:
                planned += 1
                let kinds: [OperationRecord.Kind] = [
                    .drain(node: node), .setReplicationFactor(collection: id, factor: 2, former: 2),
                    .replicate(collection: id, shard: ShardNumber(1), to: node),
                    .dropReplica(collection: id, shard: ShardNumber(2), from: node),
                ]
                world.begin("o\(planned)", kinds[Int.random(in: 0..<4, using: &random)])
            case 4:
                if let open = world.state.openOperations.randomElement(using: &random) { world.cancel(open.value.id) }
            case 5, 6: world.replicate()
            default: world.settle(now: now, options: options, rounds: 2)
            }
            for shard in world.state.allShards.map(\.value) {
                #expect(shard.violation == nil, "seed \(seed): \(shard)")
            }
        }
        for node in (1...6).map({ NodeID($0) }) where !world.state.isLive(node) { world.rise(node) }
        // What waits for a place that there is none for, the operator gives up.
        world.runToEnd(now: now, options: options)
        for operation in world.state.openOperations { world.cancel(operation.value.id) }
        world.runToEnd(now: now, options: options)
        #expect(world.state.openOperations.isEmpty, "seed \(seed): \(world.state.openOperations)")
        for shard in world.state.allShards.map(\.value) {
            #expect(shard.inSync.count == shard.replicas.count, "seed \(seed)")
        }
    }
}

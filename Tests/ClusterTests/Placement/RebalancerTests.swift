import Cluster
import DataModel
import Testing

@Suite struct RebalancerTests {
    private static let gibibyte: UInt64 = 1 << 30

    private func loads(_ world: World, bytes: (ShardID) -> UInt64) -> [ShardID: [NodeID: ReplicaLoad]] {
        Dictionary(
            uniqueKeysWithValues: world.state.allShards.map { shard in
                let load = ReplicaLoad(points: 1, bytes: bytes(shard.value.id))
                return (shard.value.id, Dictionary(uniqueKeysWithValues: shard.value.replicas.map { ($0.node, load) }))
            })
    }

    /// Replicas and bytes of each node after the plan; checks that no node gets two replicas of a shard.
    private func apply(_ plan: MovePlan, to world: World, bytes: (ShardID) -> UInt64) -> [NodeID: (Int, UInt64)] {
        var places = Dictionary(
            uniqueKeysWithValues: world.state.allShards.map {
                ($0.value.id, Set($0.value.replicas.map(\.node)))
            })
        for move in plan.moves {
            let left = places[move.shard]?.remove(move.from) != nil
            let arrived = places[move.shard]?.insert(move.to).inserted == true
            #expect(left && arrived)
        }
        var result: [NodeID: (Int, UInt64)] = [:]
        for node in world.state.liveNodes { result[node] = (0, 0) }
        for (shard, nodes) in places {
            for node in nodes {
                result[node, default: (0, 0)].0 += 1
                result[node, default: (0, 0)].1 += bytes(shard)
            }
        }
        return result
    }

    @Test func anEvenClusterIsLeftAlone() throws {
        var world = World()
        for node in 1...3 { world.join(NodeID(UInt32(node))) }
        try world.create("a", shards: 3, replicas: 2)
        let plan = Rebalancer.plan(world.state, loads: loads(world) { _ in Self.gibibyte })
        #expect(plan.moves.isEmpty)
        #expect(plan.loads.map(\.replicas) == [2, 2, 2])
        #expect(plan.loads.map(\.load.bytes) == [2, 2, 2].map { $0 * Self.gibibyte })
    }

    @Test func aNewNodeGetsItsShareWithTheFewestMoves() throws {
        var world = World()
        for node in 1...3 { world.join(NodeID(UInt32(node))) }
        try world.create("a", shards: 6, replicas: 2)
        world.join(NodeID(4))
        let size: (ShardID) -> UInt64 = { _ in Self.gibibyte }
        let plan = Rebalancer.plan(world.state, loads: loads(world, bytes: size))
        // Twelve replicas on four nodes: three each, so three moves and no more.
        #expect(plan.moves.count == 3)
        #expect(plan.moves.allSatisfy { $0.to == NodeID(4) && !$0.reason.isEmpty && $0.collection == "a" })
        #expect(apply(plan, to: world, bytes: size).values.allSatisfy { $0.0 == 3 })
        #expect(plan == Rebalancer.plan(world.state, loads: loads(world, bytes: size)))
    }

    @Test func severalReplicasOfAShardMayMoveInOnePlan() throws {
        var world = World()
        for node in 1...3 { world.join(NodeID(UInt32(node))) }
        try world.create("a", shards: 2, replicas: 3)
        for node in 4...6 { world.join(NodeID(UInt32(node))) }
        let size: (ShardID) -> UInt64 = { _ in Self.gibibyte }
        let plan = Rebalancer.plan(world.state, loads: loads(world, bytes: size))
        #expect(plan.moves.count == 3)
        #expect(apply(plan, to: world, bytes: size).values.allSatisfy { $0.0 == 1 })
    }

    @Test func aFullNodeExchangesALargeReplicaForASmallOne() throws {
        var world = World()
        for node in 1...2 { world.join(NodeID(UInt32(node))) }
        try world.create("a", shards: 4, replicas: 1)
        // Both large shards happen to be on one node.
        let large = Set(world.state.allShards.map(\.value).filter { $0.primary == NodeID(1) }.map(\.id))
        let size: (ShardID) -> UInt64 = { large.contains($0) ? 10 * Self.gibibyte : Self.gibibyte }
        let plan = Rebalancer.plan(world.state, loads: loads(world, bytes: size))
        #expect(plan.moves.map(\.bytes).sorted() == [Self.gibibyte, 10 * Self.gibibyte])
        let after = apply(plan, to: world, bytes: size)
        #expect(after.values.allSatisfy { $0.0 == 2 && $0.1 == 11 * Self.gibibyte })
    }

    @Test func smallDifferencesAndBusyShardsAreNotMoved() throws {
        var world = World()
        for node in 1...2 { world.join(NodeID(UInt32(node))) }
        let id = try world.create("a", shards: 2, replicas: 1)
        let small = Rebalancer.plan(world.state, loads: loads(world) { UInt64($0.number.rawValue) << 20 })
        #expect(small.moves.isEmpty)
        world.join(NodeID(3))
        world.plan("o", ShardID(collection: id, number: ShardNumber(0)), from: NodeID(1), to: NodeID(3))
        let busy = Rebalancer.plan(world.state, loads: loads(world) { _ in Self.gibibyte })
        #expect(busy.moves.isEmpty)
        // The move that is planned counts as done.
        #expect(busy.loads.map(\.replicas) == [0, 1, 1])
    }

    @Test func deadNodesNeitherGiveNorTake() throws {
        var world = World()
        for node in 1...3 { world.join(NodeID(UInt32(node))) }
        try world.create("a", shards: 6, replicas: 2)
        world.join(NodeID(4))
        world.fall(NodeID(1))
        world.settle()
        let plan = Rebalancer.plan(world.state, loads: loads(world) { _ in Self.gibibyte })
        #expect(plan.moves.allSatisfy { $0.from != NodeID(1) && $0.to != NodeID(1) })
        #expect(plan.loads.map(\.node) == [2, 3, 4].map { NodeID($0) })
    }

    @Test(arguments: 0..<40) func randomPlansEndEvenInNumbers(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var world = World()
        let before = Int.random(in: 2...4, using: &random)
        for node in 1...before { world.join(NodeID(UInt32(node))) }
        for name in ["a", "b"] {
            try world.create(
                name, shards: Int.random(in: 1...9, using: &random), replicas: Int.random(in: 1...2, using: &random))
        }
        for node in before + 1...before + Int.random(in: 1...3, using: &random) { world.join(NodeID(UInt32(node))) }
        var sizes: [ShardID: UInt64] = [:]
        for shard in world.state.allShards { sizes[shard.value.id] = UInt64.random(in: 0..<10, using: &random) << 30 }
        let size: (ShardID) -> UInt64 = { sizes[$0] ?? 0 }
        let plan = Rebalancer.plan(world.state, loads: loads(world, bytes: size))
        let counts = apply(plan, to: world, bytes: size).values.map(\.0)
        #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1, "seed \(seed): \(counts)")
    }
}

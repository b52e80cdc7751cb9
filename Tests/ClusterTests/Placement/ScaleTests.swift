import Cluster
import DataModel
import Testing

/// What plans cost, in bytes that are moved and in time, from 3 to 1,000 nodes.
@Suite(.serialized) struct ScaleTests {
    private static let size: UInt64 = 1 << 30

    /// `perNode` replicas on each of the nodes, two of a shard, placed one after the other.
    private func world(nodes: Int, perNode: Int, zones: Int = 0) throws -> World {
        var world = World()
        for node in 1...nodes {
            world.join(NodeID(UInt32(node)), zone: zones == 0 ? nil : "zone \(node % zones)")
        }
        let shards = nodes * perNode / 2
        for first in stride(from: 0, to: shards, by: 100) {
            let id = CollectionID("c\(first)")
            let config = CollectionConfig(
                spaces: [VectorSpace(name: "", dimension: 4, distance: .cosine)], physicalShards: 100,
                replicationFactor: 2)
            let collection = CollectionRecord(id: id, name: "c\(first)", config: config, state: .ready, createdAt: 0)
            let records = (first..<min(first + 100, shards)).map { shard in
                let places = [2 * shard, 2 * shard + 1].map { NodeID(UInt32($0 % nodes + 1)) }
                return ShardRecord(
                    id: ShardID(collection: id, number: ShardNumber(UInt32(shard - first))), virtualShards: [],
                    replicas: places.map { ReplicaRecord(node: $0, state: .inSync) }, primary: places[shard % 2])
            }
            world.commit(
                [.put(key: ControlKey.collection(collection.name), value: collection.encoded)]
                    + records.map { .put(key: ControlKey.shard($0.id), value: $0.encoded) })
        }
        return world
    }

    private func loads(_ world: World, _ bytes: (ShardID) -> UInt64) -> [ShardID: [NodeID: ReplicaLoad]] {
        Dictionary(
            uniqueKeysWithValues: world.state.allShards.map { shard in
                let load = ReplicaLoad(points: bytes(shard.value.id) >> 10, bytes: bytes(shard.value.id))
                return (shard.value.id, Dictionary(uniqueKeysWithValues: shard.value.replicas.map { ($0.node, load) }))
            })
    }

    @Test(arguments: [(3, 1), (4, 1), (3, 3), (10, 2), (30, 10), (100, 1), (300, 30), (1_000, 1)])
    func joiningNodesGetTheirShareAndNothingElseMoves(old: Int, new: Int) throws {
        let perNode = 12
        var world = try world(nodes: old, perNode: perNode)
        for node in old + 1...old + new { world.join(NodeID(UInt32(node))) }
        let plan = Rebalancer.plan(world.state, loads: loads(world) { _ in Self.size })
        let share = Double(old * perNode) / Double(old + new)
        for node in old + 1...old + new {
            let got = plan.moves.count { $0.to == NodeID(UInt32(node)) }
            #expect(abs(Double(got) - share) < 1, "node \(node) gets \(got) of \(share)")
        }
        #expect(plan.moves.allSatisfy { Int($0.to.rawValue) > old && Int($0.from.rawValue) <= old })
        // No more than the new nodes' shares, each within one replica.
        let moved = plan.moves.reduce(0) { $0 + $1.bytes }
        #expect(Double(moved) <= (share * Double(new) + Double(new)) * Double(Self.size))
    }

    @Test(arguments: 0..<20) func replicasOfAllSizesMoveNoMoreBytesThanBalanceNeeds(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (old, new) = (Int.random(in: 3...20, using: &random), Int.random(in: 1...3, using: &random))
        var world = try world(nodes: old, perNode: 20)
        for node in old + 1...old + new { world.join(NodeID(UInt32(node))) }
        var sizes: [ShardID: UInt64] = [:]
        for shard in world.state.allShards { sizes[shard.value.id] = UInt64.random(in: 1...4, using: &random) << 30 }
        let loads = loads(world) { sizes[$0] ?? 0 }
        let plan = Rebalancer.plan(world.state, loads: loads)
        var held = Dictionary(uniqueKeysWithValues: plan.loads.map { ($0.node, $0.load.bytes) })
        let mean = held.values.reduce(0) { $0 + Double($1) } / Double(old + new)
        // Before, what the nodes lack of the mean; each of them within its largest replica.
        let needed = held.values.reduce(0) { $0 + max(0, mean - Double($1)) }
        for move in plan.moves {
            held[move.from, default: 0] -= move.bytes
            held[move.to, default: 0] += move.bytes
        }
        let moved = Double(plan.moves.reduce(0) { $0 + $1.bytes })
        #expect(moved <= needed * 1.1 + Double(new) * Double(4 << 30), "seed \(seed): \(moved / needed)")
        for (node, bytes) in held {
            #expect(abs(Double(bytes) - mean) < 0.2 * mean + Double(4 << 30), "seed \(seed), node \(node)")
        }
    }

    @Test(arguments: [0, 3]) func aThousandNodesArePlannedForWithinASecond(zones: Int) throws {
        var random = SeededGenerator(seed: 7)
        var world = try world(nodes: 990, perNode: 20, zones: zones)
        for node in 991...1_000 {
            world.join(NodeID(UInt32(node)), zone: zones == 0 ? nil : "zone \(node % zones)")
        }
        var sizes: [ShardID: UInt64] = [:]
        for shard in world.state.allShards { sizes[shard.value.id] = UInt64.random(in: 1...4, using: &random) << 30 }
        let loads = loads(world) { sizes[$0] ?? 0 }
        let start = ContinuousClock.now
        let plan = Rebalancer.plan(world.state, loads: loads)
        let took = ContinuousClock.now - start
        #expect(plan.moves.count { $0.to.rawValue > 990 } >= 10 * 19)
        #if DEBUG
        let limit = Duration.seconds(20)
        #else
        let limit = Duration.seconds(1)
        #endif
        #expect(took < limit, "\(took)")
        let emptied = ReplicaPlanner.emptying(NodeID(1), in: world.state, loads: loads)
        #expect(emptied.obstacles.isEmpty && emptied.steps.count >= 19)
    }

    // MARK: - Zones

    @Test(arguments: [(6, 3, 2), (6, 2, 2), (9, 3, 3), (5, 3, 2)])
    func replicasOfANewCollectionAreInDifferentZones(nodes: Int, zones: Int, replicas: Int) throws {
        var world = World()
        for node in 1...nodes { world.join(NodeID(UInt32(node)), zone: "zone \(node % zones)") }
        let id = try world.create("a", shards: 12, replicas: replicas)
        for shard in world.state.shards(of: id).map(\.value) { #expect(zonesOf(shard, world).count == replicas) }
        let counts = world.replicaCounts.values
        if nodes.isMultiple(of: zones) { #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1, "\(counts)") }
    }

    @Test func replicasThatShareAZoneArePartedAndStayParted() throws {
        var world = World()
        for node in 1...2 { world.join(NodeID(UInt32(node)), zone: "a") }
        try world.create("c", shards: 6, replicas: 2)
        for node in 3...4 { world.join(NodeID(UInt32(node)), zone: "b") }
        let plan = Rebalancer.plan(world.state, loads: loads(world) { _ in Self.size })
        #expect(plan.moves.count == 6)
        #expect(plan.moves.allSatisfy { $0.to.rawValue > 2 && $0.reason.contains("zone b") })
        for move in plan.moves {
            world.change(move.shard) { shard in
                shard.replicas.removeAll { $0.node == move.from }
                shard.replicas.append(.init(node: move.to, state: .inSync))
                if shard.primary == move.from { shard.primary = move.to }
            }
        }
        for shard in world.state.allShards.map(\.value) { #expect(zonesOf(shard, world).count == 2) }
        // A third node in zone a takes from that zone alone.
        world.join(NodeID(5), zone: "a")
        let next = Rebalancer.plan(world.state, loads: loads(world) { _ in Self.size })
        #expect(!next.moves.isEmpty)
        #expect(next.moves.allSatisfy { $0.to == NodeID(5) && $0.from.rawValue <= 2 })
    }

    private func zonesOf(_ shard: ShardRecord, _ world: World) -> Set<String> {
        Set(shard.replicas.compactMap { world.state.nodes[$0.node]?.value.zone })
    }

    // MARK: - Measures

    @Test func eachMeasureIsEvenedOutByItself() throws {
        for measure in BalanceMeasure.allCases {
            var world = World()
            for node in 1...2 { world.join(NodeID(UInt32(node))) }
            try world.create("c", shards: 8, replicas: 1)
            let heavy = Set(world.state.allShards.map(\.value).filter { $0.primary == NodeID(1) }.map(\.id))
            var loads: [ShardID: [NodeID: ReplicaLoad]] = [:]
            for shard in world.state.allShards.map(\.value) {
                let weight: UInt64 = heavy.contains(shard.id) ? 3 : 1
                loads[shard.id] = [
                    shard.primary: ReplicaLoad(
                        points: measure == .points ? weight * 100_000 : 1_000,
                        bytes: measure == .bytes ? weight << 30 : 1 << 20,
                        searchMicroseconds: measure == .load ? weight * 100_000 : 10)
                ]
            }
            let plan = Rebalancer.plan(world.state, loads: loads, by: measure)
            // 12 and 4: one heavy replica, or two, make 9 and 7 or less far apart.
            #expect(plan.moves.count == 1, "\(measure): \(plan.moves)")
            #expect(plan.moves.allSatisfy { $0.from == NodeID(1) && heavy.contains($0.shard) })
        }
    }
}

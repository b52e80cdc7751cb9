import Cluster
import DataModel
import Testing

/// Nodes come and go, replicas catch up, primaries react or not, operations are planned and cancelled, and the
/// controller works on it all; what must always be true is checked after each step.
@Suite struct ControllerSimulationTests {
    @Test(arguments: 0..<40) func invariantsHoldThroughRandomFailures(seed: UInt64) async throws {
        var simulation = try Simulation(seed: seed)
        for step in 0..<300 {
            simulation.step()
            // Tests that look at the clock run beside this one.
            await Task.yield()
            let violation = simulation.violation()
            try #require(violation == nil, "seed \(seed), step \(step)")
        }
        simulation.heal()
        let violation = simulation.violation()
        #expect(violation == nil, "seed \(seed)")
        for operation in simulation.world.state.operations.values {
            #expect(operation.value.state.isFinal, "seed \(seed): \(operation.value)")
        }
        for shard in simulation.world.state.allShards {
            #expect(shard.value.inSync.count == 2, "seed \(seed): \(shard.value)")
        }
    }

    private struct Simulation {
        var world = World()
        var random: SeededGenerator
        var now = 1_000.0
        var epochs: [ShardID: Epoch] = [:]
        var configurations: [ShardID: (NodeID, Set<NodeID>, Epoch)] = [:]
        var planned = 0
        var checks = 0
        let nodes = (1...5).map { NodeID($0) }

        init(seed: UInt64) throws {
            random = SeededGenerator(seed: seed)
            for node in nodes { world.join(node) }
            for name in ["a", "b"] { try world.create(name, shards: 4, replicas: 2) }
        }

        mutating func step() {
            now += Double.random(in: 0..<20, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0: if let node = world.state.liveNodes.sorted().randomElement(using: &random) { world.fall(node) }
            case 1, 2:
                if let node = nodes.filter({ !world.state.isLive($0) }).randomElement(using: &random) {
                    world.rise(node, startedAt: now)
                }
            case 3: catchUp(chance: 2)
            case 4: handOver(chance: 2)
            case 5: plan()
            case 6:
                if let operation = world.state.openOperations.randomElement(using: &random), random.oneIn(3) {
                    world.put(ControlKey.operation(operation.value.id), operation.value.cancelled)
                }
            default: break
            }
            if !random.oneIn(3) { world.settle(now: now, rounds: Int.random(in: 1...3, using: &random)) }
        }

        /// Live primaries promote live replicas, as the shards' replication does.
        mutating func catchUp(chance: Int) {
            for shard in world.state.allShards.map(\.value) where world.state.isLive(shard.primary) {
                for replica in shard.replicas
                where replica.state == .catchingUp && world.state.isLive(replica.node) && random.oneIn(chance) {
                    if let record = try? world.state.shard(shard.id)?.value.promoting(replica.node, by: shard.primary) {
                        world.put(ControlKey.shard(shard.id), record)
                    }
                }
            }
        }

        mutating func handOver(chance: Int) {
            for shard in world.state.allShards.map(\.value) where world.state.isLive(shard.primary) {
                if let target = shard.handover, random.oneIn(chance),
                    let record = try? shard.handingOver(to: target, by: shard.primary)
                {
                    world.put(ControlKey.shard(shard.id), record)
                }
            }
        }

        mutating func plan() {
            guard let shard = world.state.allShards.randomElement(using: &random),
                let from = nodes.randomElement(using: &random), let to = nodes.randomElement(using: &random)
            else { return }
            planned += 1
            world.plan("m\(planned)", shard.value.id, from: from, to: to, createdAt: now)
        }

        mutating func heal() {
            for node in nodes where !world.state.isLive(node) { world.rise(node, startedAt: now) }
            now += 10
            for _ in 0..<200 {
                world.settle(now: now)
                catchUp(chance: 1)
                handOver(chance: 1)
            }
        }

        mutating func violation() -> String? {
            checks += 1
            if checks.isMultiple(of: 10), world.state.listedDiffers(from: world.listedState) {
                return "following the store is not reading it"
            }
            for shard in world.state.allShards.map(\.value) {
                if let violation = shard.violation { return "\(shard.id): \(violation)" }
                if let old = configurations[shard.id] {
                    let same = old.0 == shard.primary && old.1 == Set(shard.inSync)
                    if shard.epoch < old.2 { return "\(shard.id): the epoch fell" }
                    if !same && shard.epoch == old.2 { return "\(shard.id): a change without a new epoch" }
                }
                configurations[shard.id] = (shard.primary, Set(shard.inSync), shard.epoch)
            }
            return nil
        }
    }
}

extension ClusterState {
    fileprivate func listedDiffers(from listed: ClusterState) -> Bool {
        revision != listed.revision || nodes != listed.nodes || live != listed.live || shards != listed.shards
            || collections != listed.collections || operations != listed.operations
            || controller != listed.controller
    }
}

import Cluster
import DataModel
import Testing

@Suite struct PlacementTests {
    private func world(nodes: Int) -> World {
        var world = World()
        for node in 1...nodes { world.join(NodeID(UInt32(node))) }
        return world
    }

    @Test(arguments: [(3, 3, 2), (3, 6, 2), (4, 7, 3), (5, 10, 1), (1, 4, 1), (3, 1, 3), (6, 16, 2)])
    func replicasAndPrimariesAreSpreadEvenly(nodes: Int, shards: Int, replicas: Int) throws {
        var world = world(nodes: nodes)
        for name in ["a", "b"] { try world.create(name, shards: shards, replicas: replicas) }
        for collection in world.state.collections.values {
            let records = world.state.shards(of: collection.value.id).map(\.value)
            #expect(records.allSatisfy { $0.violation == nil && $0.replicas.count == replicas && $0.epoch == Epoch(1) })
            let counts = (1...UInt32(nodes)).map { node in
                records.count { $0.replica(on: NodeID(node)) != nil }
            }
            #expect(try #require(counts.max()) - #require(counts.min()) <= 1)
            let primaries = (1...UInt32(nodes)).map { node in records.count { $0.primary == NodeID(node) } }
            #expect(try #require(primaries.max()) - #require(primaries.min()) <= 1, "\(primaries)")
        }
    }

    @Test func manySmallCollectionsFillTheNodesInTurn() throws {
        var world = world(nodes: 3)
        for name in ["a", "b", "c", "d", "e", "f"] { try world.create(name, shards: 1, replicas: 1) }
        let shards = world.state.allShards.map(\.value)
        for node in 1...3 { #expect(shards.count { $0.primary == NodeID(UInt32(node)) } == 2) }
    }

    @Test func virtualShardsAreCoveredOnceByContiguousRanges() {
        for (virtual, physical) in [(128, 3), (128, 128), (1, 1), (100, 7), (4_096, 1_024)] {
            let ranges = Placement.ranges(virtualShards: virtual, physicalShards: physical)
            #expect(ranges.first?.lower == 0)
            #expect(ranges.last?.upper == UInt16(virtual - 1))
            #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upper + 1 == $1.lower })
            let sizes = ranges.map(\.count)
            #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
        }
    }

    @Test func onlyLiveNodesCount() throws {
        var world = world(nodes: 3)
        world.fall(NodeID(2))
        #expect(throws: PlacementError.notEnoughNodes(live: 2, replicationFactor: 3)) {
            try world.create("a", replicas: 3)
        }
        try world.create("a", replicas: 2)
        #expect(world.state.allShards.allSatisfy { $0.value.replica(on: NodeID(2)) == nil })
    }
}

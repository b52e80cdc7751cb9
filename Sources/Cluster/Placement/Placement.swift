package import DataModel

/// Why a collection cannot be placed.
package enum PlacementError: Error, Sendable, Equatable {
    case notEnoughNodes(live: Int, replicationFactor: Int)
    /// A physical shard would own no virtual shard.
    case moreShardsThanVirtualShards(physical: Int, virtual: Int)
}

/// Where the shards of a new collection go.
package enum Placement {
    /// Records for every shard of a new collection: replicas and primaries spread evenly over the live nodes, counting
    /// what the nodes have already, and over zones as far as there are any. All replicas begin in sync, since there is
    /// nothing to hold yet. A node that is being drained gets none.
    package static func place(
        _ collection: CollectionID, config: CollectionConfig, in state: ClusterState
    ) throws(PlacementError) -> [ShardRecord] {
        let nodes = state.acceptingNodes.sorted()
        guard nodes.count >= config.replicationFactor else {
            throw .notEnoughNodes(live: nodes.count, replicationFactor: config.replicationFactor)
        }
        guard config.physicalShards <= config.virtualShards else {
            throw .moreShardsThanVirtualShards(physical: config.physicalShards, virtual: config.virtualShards)
        }
        var loads = ReplicaCounts(state)
        // Within the collection first: its own queries shall find every node equally busy.
        var own = ReplicaCounts()
        return ranges(virtualShards: config.virtualShards, physicalShards: config.physicalShards).enumerated().map {
            number, range in
            let chosen = choose(config.replicationFactor, of: nodes, own: own, loads: loads, in: state)
            let primary = chosen.min {
                (own.primaries[$0, default: 0], loads.primaries[$0, default: 0], $0)
                    < (own.primaries[$1, default: 0], loads.primaries[$1, default: 0], $1)
            }
            guard let primary else { preconditionFailure("a shard without replicas") }
            let record = ShardRecord(
                id: ShardID(collection: collection, number: ShardNumber(UInt32(number))), virtualShards: [range],
                replicas: chosen.map { ReplicaRecord(node: $0, state: .inSync) }, primary: primary)
            loads.add(record)
            own.add(record)
            return record
        }
    }

    /// The nodes with the fewest replicas, as far as zones allow: the next one is in a zone that has none yet.
    private static func choose(
        _ count: Int, of nodes: [NodeID], own: ReplicaCounts, loads: ReplicaCounts, in state: ClusterState
    ) -> [NodeID] {
        var chosen: [NodeID] = []
        var zones: Set<String> = []
        func zone(_ node: NodeID) -> String? { state.nodes[node]?.value.zone }
        func isBefore(_ a: NodeID, _ b: NodeID) -> Bool {
            let isTaken = (zone(a).map(zones.contains) ?? false, zone(b).map(zones.contains) ?? false)
            if isTaken.0 != isTaken.1 { return isTaken.1 }
            return (own.replicas[a, default: 0], loads.replicas[a, default: 0], own.primaries[a, default: 0], a)
                < (own.replicas[b, default: 0], loads.replicas[b, default: 0], own.primaries[b, default: 0], b)
        }
        while chosen.count < count, let next = nodes.filter({ !chosen.contains($0) }).min(by: isBefore) {
            chosen.append(next)
            if let zone = zone(next) { zones.insert(zone) }
        }
        return chosen
    }

    /// Contiguous ranges that differ in length by at most one.
    package static func ranges(virtualShards: Int, physicalShards: Int) -> [VirtualShardRange] {
        precondition(0 < physicalShards && physicalShards <= virtualShards)
        return (0..<physicalShards).map { shard in
            VirtualShardRange(
                lower: UInt16(shard * virtualShards / physicalShards),
                upper: UInt16((shard + 1) * virtualShards / physicalShards - 1))
        }
    }
}

/// How many replicas and primaries each node has.
struct ReplicaCounts {
    var replicas: [NodeID: Int] = [:]
    var primaries: [NodeID: Int] = [:]

    init() {}

    init(_ state: ClusterState) {
        for shard in state.allShards { add(shard.value) }
    }

    mutating func add(_ shard: ShardRecord) {
        for replica in shard.replicas { replicas[replica.node, default: 0] += 1 }
        primaries[shard.primary, default: 0] += 1
    }

    mutating func movePrimary(from old: NodeID, to new: NodeID) {
        primaries[old, default: 0] -= 1
        primaries[new, default: 0] += 1
    }
}

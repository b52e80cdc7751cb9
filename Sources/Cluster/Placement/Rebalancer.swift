package import DataModel

/// What a replica weighs.
package struct ReplicaLoad: Sendable, Equatable {
    package var points: UInt64
    package var bytes: UInt64

    package init(points: UInt64, bytes: UInt64) {
        self.points = points
        self.bytes = bytes
    }
}

/// A move that would make the cluster more even.
package struct PlannedMove: Sendable, Equatable {
    package var collection: String
    package var shard: ShardID
    package var from: NodeID
    package var to: NodeID
    package var bytes: UInt64
    package var reason: String
}

/// What the planner looked at, and what it would do, in order.
package struct MovePlan: Sendable, Equatable {
    package struct NodeLoad: Sendable, Equatable {
        package var node: NodeID
        package var replicas: Int
        package var points: UInt64
        package var bytes: UInt64
    }

    /// The live nodes as they are, in order; running and planned moves count as done.
    package var loads: [NodeLoad]
    package var moves: [PlannedMove]
}

/// Plans moves that leave the live nodes with as many replicas each, and about as many bytes, moving as little as it
/// can. Pure and deterministic.
///
/// First the numbers of replicas: as many moves as there are replicas too many somewhere, each the smallest replica
/// that evens the bytes out as well as any. Then the bytes, by single moves or exchanges that keep the numbers.
package struct Rebalancer {
    /// Nodes that differ by less are even enough: moving costs more than it brings.
    package static let toleratedShare = 0.2
    package static let toleratedBytes: UInt64 = 64 << 20

    private struct Holding {
        var shard: ShardID
        var load: ReplicaLoad
        var isPrimary: Bool
        /// Its shard has an open operation or a replica that catches up, or it was moved by this plan.
        var isFixed: Bool
    }

    private struct Node {
        /// By shard; includes those that cannot be moved.
        var holdings: [ShardID: Holding] = [:]
        var bytes: UInt64 { holdings.values.reduce(0) { $0 + $1.load.bytes } }
        var points: UInt64 { holdings.values.reduce(0) { $0 + $1.load.points } }
    }

    private let state: ClusterState
    private var nodes: [NodeID: Node]
    private var moves: [PlannedMove] = []

    /// `loads` gives what is known of each replica; one that is not known counts like the largest one of its shard.
    package static func plan(_ state: ClusterState, loads: [ShardID: [NodeID: ReplicaLoad]]) -> MovePlan {
        var rebalancer = Rebalancer(state, loads: loads)
        let nodeLoads = rebalancer.nodes.keys.sorted().compactMap { id in
            rebalancer.nodes[id].map {
                MovePlan.NodeLoad(node: id, replicas: $0.holdings.count, points: $0.points, bytes: $0.bytes)
            }
        }
        rebalancer.evenNumbers()
        rebalancer.evenBytes()
        return MovePlan(loads: nodeLoads, moves: rebalancer.moves)
    }

    private init(_ state: ClusterState, loads: [ShardID: [NodeID: ReplicaLoad]]) {
        self.state = state
        nodes = Dictionary(uniqueKeysWithValues: state.liveNodes.map { ($0, Node()) })
        let moving = Dictionary(
            state.openOperations.compactMap { operation in operation.value.kind.shard.map { ($0, operation.value.kind) } },
            uniquingKeysWith: { first, _ in first })
        for shard in state.allShards.map(\.value) {
            let collection: Stored<CollectionRecord>? = state.collection(shard.id.collection)
            guard let collection, collection.value.state != .deleting else { continue }
            let known = loads[shard.id] ?? [:]
            let largest = known.values.max { $0.bytes < $1.bytes } ?? ReplicaLoad(points: 0, bytes: 0)
            let isFixed = moving[shard.id] != nil || shard.inSync.count < shard.replicas.count
            for replica in shard.replicas {
                var place = replica.node
                if let move = moving[shard.id], move.source == place, let target = move.target { place = target }
                nodes[place]?.holdings[shard.id] = Holding(
                    shard: shard.id, load: known[replica.node] ?? largest, isPrimary: replica.node == shard.primary,
                    isFixed: isFixed)
            }
        }
    }

    // MARK: - Numbers of replicas

    private mutating func evenNumbers() {
        while let (from, to, holding) = bestMoveForNumbers() {
            let reason =
                "node \(from) has \(count(from)) replicas and node \(to) has \(count(to)); "
                + "of those that even the bytes out it is the smallest"
            move(holding, from: from, to: to, reason: reason)
        }
    }

    private func bestMoveForNumbers() -> (NodeID, NodeID, Holding)? {
        let byCount = nodes.keys.sorted { (count($1), bytes($1), $0) < (count($0), bytes($0), $1) }
        for from in byCount {
            for to in byCount.reversed() where count(from) - count(to) >= 2 {
                let gap = Int64(bytes(from)) - Int64(bytes(to))
                let best = movable(from, to).min {
                    (excess(gap, $0), $0.load.bytes, $0.isPrimary ? 1 : 0, $0.shard)
                        < (excess(gap, $1), $1.load.bytes, $1.isPrimary ? 1 : 0, $1.shard)
                }
                if let best { return (from, to, best) }
            }
        }
        return nil
    }

    /// By how much two nodes' bytes would differ more than is tolerated, were the replica moved between them.
    private func excess(_ gap: Int64, _ holding: Holding) -> UInt64 {
        let left = (gap - 2 * Int64(holding.load.bytes)).magnitude
        return left - min(left, tolerance)
    }

    // MARK: - Bytes

    private mutating func evenBytes() {
        while let (from, to, given, taken) = bestExchange() {
            let reason =
                "node \(from) has \(Self.mebibytes(bytes(from))) and node \(to) has \(Self.mebibytes(bytes(to)))"
            move(given, from: from, to: to, reason: reason)
            if let taken { move(taken, from: to, to: from, reason: "in exchange for shard \(given.shard); \(reason)") }
        }
    }

    /// Between the fullest node and the emptiest that allows any: the cheapest change that makes them even enough, else
    /// the one that helps most.
    private func bestExchange() -> (NodeID, NodeID, Holding, Holding?)? {
        let byBytes = nodes.keys.sorted { (bytes($0), $0) < (bytes($1), $1) }
        guard let from = byBytes.last else { return nil }
        for to in byBytes.dropLast() {
            let gap = Int64(bytes(from)) - Int64(bytes(to))
            guard gap > Int64(tolerance) else { return nil }
            var best: (key: (UInt64, UInt64, ShardID), given: Holding, taken: Holding?)?
            for given in movable(from, to) {
                var partners: [Holding?] = movable(to, from)
                if count(from) > count(to) { partners.append(nil) }
                for taken in partners {
                    let returned = taken?.load.bytes ?? 0
                    guard given.load.bytes > returned else { continue }
                    let left = (gap - 2 * Int64(given.load.bytes - returned)).magnitude
                    // Each step has to help by a tenth, or moving goes on for ever smaller gains.
                    guard Double(left) < 0.9 * Double(gap) else { continue }
                    let key = (left - min(left, tolerance), given.load.bytes + returned, given.shard)
                    if best.map({ key < $0.key }) ?? true { best = (key, given, taken) }
                }
            }
            if let best { return (from, to, best.given, best.taken) }
        }
        return nil
    }

    // MARK: - The model

    private var tolerance: UInt64 {
        let total = nodes.values.reduce(0) { $0 + $1.bytes }
        let mean = Double(total) / Double(max(nodes.count, 1))
        return max(UInt64(mean * Self.toleratedShare), Self.toleratedBytes)
    }

    private func count(_ node: NodeID) -> Int { nodes[node]?.holdings.count ?? 0 }
    private func bytes(_ node: NodeID) -> UInt64 { nodes[node]?.bytes ?? 0 }

    /// In order of shards. Two replicas of a shard are never on one node.
    private func movable(_ from: NodeID, _ to: NodeID) -> [Holding] {
        guard let source = nodes[from], let target = nodes[to] else { return [] }
        return source.holdings.values
            .filter { !$0.isFixed && target.holdings[$0.shard] == nil }
            .sorted { $0.shard < $1.shard }
    }

    private mutating func move(_ holding: Holding, from: NodeID, to: NodeID, reason: String) {
        nodes[from]?.holdings[holding.shard] = nil
        nodes[to]?.holdings[holding.shard] = holding
        nodes[to]?.holdings[holding.shard]?.isFixed = true
        let collection: Stored<CollectionRecord>? = state.collection(holding.shard.collection)
        moves.append(
            PlannedMove(
                collection: collection?.value.name ?? holding.shard.collection.rawValue, shard: holding.shard,
                from: from, to: to, bytes: holding.load.bytes, reason: reason))
    }

    private static func mebibytes(_ bytes: UInt64) -> String { "\(bytes >> 20) MiB" }
}

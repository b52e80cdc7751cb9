package import DataModel

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
        package var load: ReplicaLoad
    }

    /// The live nodes as they are, in order; running and planned moves count as done.
    package var loads: [NodeLoad]
    package var moves: [PlannedMove]
}

/// Plans moves that make the live nodes even, moving as little as it can. Pure and deterministic.
///
/// First replicas of a shard that share a zone are parted, where a node in a zone without one is there. Then the
/// numbers of replicas: as many moves as there are replicas too many somewhere, each a replica of the size that takes
/// both nodes nearest to the mean. Then the bytes, by single moves or exchanges that keep the numbers. No move brings
/// two replicas of a shard into one zone.
///
/// With a measure, its sums are evened out in place of numbers and bytes, and numbers may become uneven.
package struct Rebalancer {
    /// Nodes that differ by less than this share of the mean are even enough: moving costs more than it brings.
    package static let toleratedShare = 0.2

    private var model: ReplicaModel
    private let members: [Int]
    private var moves: [PlannedMove] = []

    /// - Parameters:
    ///   - loads: what is known of each replica; one that is not known counts like the largest one of its shard.
    ///   - measure: nil for numbers of replicas, then bytes.
    package static func plan(
        _ state: ClusterState, loads: [ShardID: [NodeID: ReplicaLoad]], by measure: BalanceMeasure? = nil
    ) -> MovePlan {
        var rebalancer = Rebalancer(ReplicaModel(state, loads: loads))
        let nodeLoads = rebalancer.model.nodes.filter(\.isLive).map {
            MovePlan.NodeLoad(node: $0.id, replicas: $0.count, load: $0.load)
        }
        rebalancer.partZones()
        if measure == nil { rebalancer.evenNumbers() }
        rebalancer.even(measure ?? .bytes, keepsNumbers: measure == nil)
        return MovePlan(loads: nodeLoads, moves: rebalancer.moves)
    }

    private init(_ model: ReplicaModel) {
        self.model = model
        members = model.nodes.indices.filter { model.nodes[$0].accepts }
    }

    // MARK: - Zones

    private mutating func partZones() {
        guard members.contains(where: { model.nodes[$0].zone != nil }) else { return }
        for shard in model.shards.indices where !model.shards[shard].isBusy {
            let crowded = model.shards[shard].places.filter {
                model.sharesZone(shard, on: $0, leaving: nil) && model.nodes[$0].accepts
            }
            // The fullest of them moves, and rather not the primary.
            let from = crowded.max { (fullness($0, shard), $1) < (fullness($1, shard), $0) }
            guard let from, let to = model.target(for: shard, leaving: from), let zone = model.nodes[to].zone,
                !model.sharesZone(shard, on: to, leaving: from)
            else { continue }
            let crowd = "its replica on node \(id(from)) shares zone \(model.nodes[from].zone ?? "") with another"
            move(shard, from: from, to: to, reason: "\(crowd); none is in zone \(zone) yet")
        }
    }

    private func fullness(_ node: Int, _ shard: Int) -> Int {
        let isPrimary = model.nodes[node].holdings.contains { $0.shard == shard && $0.isPrimary }
        return 2 * model.nodes[node].count + (isPrimary ? 0 : 1)
    }

    // MARK: - Numbers of replicas

    private mutating func evenNumbers() {
        var order = NodeOrder(members.map(numberKey))
        /// Nodes that have nothing that another one could take.
        var stuck: Set<Int> = []
        while let (from, to, holding) = bestMoveForNumbers(order, &stuck) {
            let reason =
                "node \(id(from)) has \(count(from)) replicas and node \(id(to)) has \(count(to)); "
                + "of those it takes this one, which evens the bytes out best"
            move(holding.shard, from: from, to: to, reason: reason + zoneReason(to))
            order.update(numberKey(from))
            order.update(numberKey(to))
        }
    }

    private func numberKey(_ node: Int) -> NodeOrder.Key {
        NodeOrder.Key(first: UInt64(count(node)), second: model.nodes[node].load.bytes, node: node)
    }

    private func bestMoveForNumbers(
        _ order: NodeOrder, _ stuck: inout Set<Int>
    ) -> (Int, Int, ReplicaModel.Holding)? {
        for from in order.keys.reversed().map(\.node) where !stuck.contains(from) {
            guard let lowest = order.keys.first, count(from) - Int(lowest.first) >= 2 else { return nil }
            var byZone: [String?: [ReplicaModel.Holding]] = [:]
            for to in order.keys.map(\.node) {
                guard count(from) - count(to) >= 2 else { break }
                if let best = nearest(to: idealBytes(from, to), movable(from, to, &byZone)) { return (from, to, best) }
            }
            stuck.insert(from)
        }
        return nil
    }

    /// The size of a replica that would take both nodes on their way to the mean number and the mean bytes.
    private func idealBytes(_ from: Int, _ to: Int) -> Double {
        let nodes = Double(max(members.count, 1))
        let mean = Double(members.reduce(0) { $0 + model.nodes[$1].load.bytes }) / nodes
        let meanCount = Double(members.reduce(0) { $0 + count($1) }) / nodes
        let missing = (mean - Double(model.nodes[to].load.bytes)) / max(1, meanCount - Double(count(to)))
        let surplus = (Double(model.nodes[from].load.bytes) - mean) / max(1, Double(count(from)) - meanCount)
        return (max(0, missing) + max(0, surplus)) / 2
    }

    private func nearest(to bytes: Double, _ holdings: [ReplicaModel.Holding]) -> ReplicaModel.Holding? {
        holdings.min {
            (abs(Double($0.load.bytes) - bytes), $0.load.bytes, $0.isPrimary ? 1 : 0, $0.shard)
                < (abs(Double($1.load.bytes) - bytes), $1.load.bytes, $1.isPrimary ? 1 : 0, $1.shard)
        }
    }

    // MARK: - Sums

    private mutating func even(_ measure: BalanceMeasure, keepsNumbers: Bool) {
        var order = NodeOrder(members.map { sumKey($0, measure) })
        var stuck: Set<Int> = []
        while let (from, to, given, taken) = bestExchange(measure, keepsNumbers, order, &stuck) {
            let reason =
                "node \(id(from)) has \(measure.text(sum(from, measure))) and node \(id(to)) has "
                + measure.text(sum(to, measure))
            move(given.shard, from: from, to: to, reason: reason + zoneReason(to))
            if let taken {
                let exchanged = model.shards[given.shard]
                move(
                    taken.shard, from: to, to: from,
                    reason: "in exchange for \(exchanged.collection)/\(exchanged.id.number); \(reason)")
            }
            order.update(sumKey(from, measure))
            order.update(sumKey(to, measure))
        }
    }

    private func sum(_ node: Int, _ measure: BalanceMeasure) -> UInt64 { model.nodes[node].load.value(measure) }

    private func sumKey(_ node: Int, _ measure: BalanceMeasure) -> NodeOrder.Key {
        NodeOrder.Key(first: sum(node, measure), second: 0, node: node)
    }

    /// Between the fullest node and the emptiest that allows any: the cheapest change that makes them even enough, else
    /// the one that helps most.
    private func bestExchange(
        _ measure: BalanceMeasure, _ keepsNumbers: Bool, _ order: NodeOrder, _ stuck: inout Set<Int>
    ) -> (Int, Int, ReplicaModel.Holding, ReplicaModel.Holding?)? {
        let total = order.keys.reduce(0) { $0 + $1.first }
        let mean = Double(total) / Double(max(order.keys.count, 1))
        let tolerance = max(UInt64(mean * Self.toleratedShare), measure.tolerated)
        for from in order.keys.reversed() where !stuck.contains(from.node) {
            var byZone: [String?: [ReplicaModel.Holding]] = [:]
            for to in order.keys {
                guard from.first > to.first, from.first - to.first > tolerance else { break }
                let gap = from.first - to.first
                let best = bestExchange(
                    from.node, to.node, gap: gap, tolerance: tolerance, measure, keepsNumbers, &byZone)
                if let (given, taken) = best { return (from.node, to.node, given, taken) }
            }
            stuck.insert(from.node)
        }
        return nil
    }

    private func bestExchange(
        _ from: Int, _ to: Int, gap: UInt64, tolerance: UInt64, _ measure: BalanceMeasure, _ keepsNumbers: Bool,
        _ byZone: inout [String?: [ReplicaModel.Holding]]
    ) -> (ReplicaModel.Holding, ReplicaModel.Holding?)? {
        let gifts = movable(from, to, &byZone)
        guard !gifts.isEmpty else { return nil }
        var none: [String?: [ReplicaModel.Holding]] = [:]
        let returns = movable(to, from, &none)
        let mayGiveOnly = !keepsNumbers || count(from) > count(to)
        var best: (excess: UInt64, bytes: UInt64, given: ReplicaModel.Holding, taken: ReplicaModel.Holding?)?
        func consider(_ given: ReplicaModel.Holding, _ taken: ReplicaModel.Holding?) {
            let (out, back) = (given.load.value(measure), taken?.load.value(measure) ?? 0)
            guard out > back else { return }
            let moved = 2 * (out - back)
            let left = moved > gap ? moved - gap : gap - moved
            // Each step has to help by a tenth, or moving goes on for ever smaller gains.
            guard Double(left) < 0.9 * Double(gap) else { return }
            let excess = left - min(left, tolerance)
            let bytes = given.load.bytes + (taken?.load.bytes ?? 0)
            if best.map({ (excess, bytes) < ($0.excess, $0.bytes) }) ?? true { best = (excess, bytes, given, taken) }
        }
        for given in gifts {
            if mayGiveOnly { consider(given, nil) }
            for taken in returns { consider(given, taken) }
        }
        return best.map { ($0.given, $0.taken) }
    }

    // MARK: - The model

    private func id(_ node: Int) -> NodeID { model.nodes[node].id }
    private func count(_ node: Int) -> Int { model.nodes[node].count }

    private func zoneReason(_ node: Int) -> String {
        model.nodes[node].zone.map { "; no other replica of it is in zone \($0)" } ?? ""
    }

    /// What can go from one node to the other: two replicas of a shard are never on one node, and do not come into one
    /// zone by a move within the plan.
    ///
    /// - Parameter byZone: what zones let in of what `from` has, kept for the next `to`.
    private func movable(
        _ from: Int, _ to: Int, _ byZone: inout [String?: [ReplicaModel.Holding]]
    ) -> [ReplicaModel.Holding] {
        let zone = model.nodes[to].zone
        let allowed =
            byZone[zone]
            ?? model.nodes[from].holdings.filter { holding in
                !holding.isFixed && !model.sharesZone(holding.shard, on: to, leaving: from)
            }
        byZone[zone] = allowed
        return allowed.filter { !model.holds(to, $0.shard) }
    }

    private mutating func move(_ shard: Int, from: Int, to: Int, reason: String) {
        let moved = model.shards[shard]
        let bytes = model.nodes[from].holdings.first { $0.shard == shard }?.load.bytes ?? 0
        model.move(shard, from: from, to: to)
        moves.append(
            PlannedMove(
                collection: moved.collection, shard: moved.id, from: id(from), to: id(to), bytes: bytes, reason: reason)
        )
    }
}

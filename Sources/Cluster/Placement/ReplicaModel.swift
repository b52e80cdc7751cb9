import DataModel

/// What each node holds, with open operations counted as done: what planners work on, and change as they plan.
///
/// Nodes and shards are numbers here, so that a thousand nodes are planned for in less than a second.
struct ReplicaModel {
    struct Holding {
        /// An index into `shards`.
        let shard: Int
        let load: ReplicaLoad
        let isPrimary: Bool
        /// Its shard has an open operation or a replica that is not in sync, or a plan has moved it: it stays.
        var isFixed: Bool
    }

    struct Shard {
        let id: ShardID
        let collection: String
        let isBusy: Bool
        let largest: ReplicaLoad
        /// Indices into `nodes`, each once.
        var places: [Int]
    }

    struct Node {
        let id: NodeID
        let zone: String?
        let isLive: Bool
        /// Whether it may get replicas.
        let accepts: Bool
        var holdings: [Holding] = []
        /// The sum of its holdings.
        var load = ReplicaLoad(points: 0, bytes: 0)

        var count: Int { holdings.count }
    }

    /// In order of ids: all that are known, alive or not.
    private(set) var nodes: [Node]
    /// In order of ids; collections that are being deleted are left out.
    private(set) var shards: [Shard] = []
    private(set) var shardIndices: [ShardID: Int] = [:]
    let nodeIndices: [NodeID: Int]

    /// - Parameter loads: what is known of each replica; one that is not known counts like the largest one of its
    ///   shard.
    init(_ state: ClusterState, loads: [ShardID: [NodeID: ReplicaLoad]]) {
        nodes = state.liveNodes.union(state.nodes.keys).sorted().map { id in
            Node(id: id, zone: state.nodes[id]?.value.zone, isLive: state.isLive(id), accepts: state.accepts(id))
        }
        nodeIndices = Dictionary(uniqueKeysWithValues: nodes.indices.map { [nodes] in (nodes[$0].id, $0) })
        var open: [ShardID: [OperationRecord.Kind]] = [:]
        for operation in state.openOperations where operation.value.state != .cancelling {
            if let shard = operation.value.kind.shard { open[shard, default: []].append(operation.value.kind) }
        }
        for shard in state.allShards.map(\.value) {
            let collection: Stored<CollectionRecord>? = state.collection(shard.id.collection)
            guard let collection, collection.value.state != .deleting else { continue }
            add(shard, of: collection.value.name, open: open[shard.id] ?? [], loads: loads[shard.id] ?? [:])
        }
    }

    private mutating func add(
        _ record: ShardRecord, of collection: String, open: [OperationRecord.Kind], loads: [NodeID: ReplicaLoad]
    ) {
        let largest = loads.values.max { $0.bytes < $1.bytes } ?? ReplicaLoad(points: 0, bytes: 0)
        let isBusy = !open.isEmpty || record.inSync.count < record.replicas.count
        // Where each replica will be, and which one it is now.
        var places: [(node: NodeID, load: ReplicaLoad)] = record.replicas.map { ($0.node, loads[$0.node] ?? largest) }
        for kind in open {
            if let target = kind.target, !places.contains(where: { $0.node == target }) {
                places.append((target, largest))
            }
            if let source = kind.source { places.removeAll { $0.node == source } }
        }
        let index = shards.count
        shardIndices[record.id] = index
        var indices: [Int] = []
        for place in places {
            guard let node = nodeIndices[place.node] else { continue }
            indices.append(node)
            nodes[node].holdings.append(
                Holding(shard: index, load: place.load, isPrimary: place.node == record.primary, isFixed: isBusy))
            nodes[node].load += place.load
        }
        shards.append(
            Shard(id: record.id, collection: collection, isBusy: isBusy, largest: largest, places: indices))
    }

    // MARK: - Questions

    func holds(_ node: Int, _ shard: Int) -> Bool { shards[shard].places.contains(node) }

    /// Whether another replica of the shard than the one on `leaving` is in the node's zone.
    func sharesZone(_ shard: Int, on node: Int, leaving: Int?) -> Bool {
        guard let zone = nodes[node].zone else { return false }
        return shards[shard].places.contains { $0 != leaving && $0 != node && nodes[$0].zone == zone }
    }

    /// The node that should get another replica of the shard: in a zone of its own, if there is one; then the one with
    /// the fewest replicas, then bytes. Nil when every node that takes replicas has one.
    ///
    /// - Parameter excluded: a node that is being emptied, perhaps before anybody knows.
    func target(for shard: Int, leaving: Int?, excluding excluded: Int? = nil) -> Int? {
        nodes.indices.filter { nodes[$0].accepts && $0 != excluded && !holds($0, shard) }.min {
            (sharesZone(shard, on: $0, leaving: leaving) ? 1 : 0, nodes[$0].count, nodes[$0].load.bytes, $0)
                < (sharesZone(shard, on: $1, leaving: leaving) ? 1 : 0, nodes[$1].count, nodes[$1].load.bytes, $1)
        }
    }

    /// Why `target` chose the node.
    func reason(for node: Int, _ shard: Int, leaving: Int?) -> String {
        let count = "with \(nodes[node].count) replicas"
        guard let zone = nodes[node].zone else { return "node \(nodes[node].id), \(count), has the fewest" }
        return sharesZone(shard, on: node, leaving: leaving)
            ? "node \(nodes[node].id), \(count), has the fewest; none is free in a zone without a replica of the shard"
            : "node \(nodes[node].id), \(count), has the fewest of those in zones without another replica of the "
                + "shard, in zone \(zone)"
    }

    // MARK: - Changing it

    /// Moves a replica; it stays where it is from then on.
    ///
    /// - Precondition: `from` holds one, and `to` does not.
    mutating func move(_ shard: Int, from: Int, to: Int) {
        guard let position = nodes[from].holdings.firstIndex(where: { $0.shard == shard }) else {
            preconditionFailure("no such replica")
        }
        var holding = nodes[from].holdings.remove(at: position)
        nodes[from].load -= holding.load
        holding.isFixed = true
        shards[shard].places.removeAll { $0 == from }
        insert(holding, on: to)
    }

    mutating func add(_ shard: Int, on node: Int) {
        insert(Holding(shard: shard, load: shards[shard].largest, isPrimary: false, isFixed: true), on: node)
    }

    mutating func drop(_ shard: Int, from node: Int) {
        guard let position = nodes[node].holdings.firstIndex(where: { $0.shard == shard }) else { return }
        nodes[node].load -= nodes[node].holdings.remove(at: position).load
        shards[shard].places.removeAll { $0 == node }
    }

    private mutating func insert(_ holding: Holding, on node: Int) {
        precondition(!holds(node, holding.shard), "two replicas of a shard on one node")
        nodes[node].holdings.append(holding)
        nodes[node].load += holding.load
        shards[holding.shard].places.append(node)
    }
}

import Cluster
import DataModel

/// One history of one collection on several nodes: what happens is decided by the seed alone.
///
/// Single-threaded; time is virtual, in microseconds.
final class Simulation {
    /// As the network knows the control store.
    static let storeID = NodeID(0)

    let seed: UInt64
    let profile: Profile
    let fault: PlantedFault?
    var random: SeededGenerator
    private(set) var now = 0
    /// Nothing is slow any more when everything works again.
    var slowCommits: Double
    private var queue = EventQueue()
    private var numbers = 0
    private(set) var nodes: [SimulatedNode] = []
    private(set) lazy var store = SimulatedStore(self)
    private(set) lazy var network = SimulatedNetwork(self)
    private(set) lazy var judge = Judge(self)
    let collection = CollectionID(String(repeating: "0", count: 32))
    let virtualShards = 16
    /// Nil: nothing is written down, which is quicker.
    private(set) var lines: [String]?

    /// How long things go wrong, and how long it may take until nothing is under way any more.
    private static let stormTime = 20_000_000
    private static let patience = 180_000_000
    private static let calmTime = 3_000_000

    init(seed: UInt64, fault: PlantedFault? = nil, isTraced: Bool = false) {
        self.seed = seed
        self.fault = fault
        random = SeededGenerator(seed: seed)
        profile = Profile(&random)
        slowCommits = profile.slowCommits
        if isTraced { lines = [] }
        nodes = (1...profile.nodes).map { SimulatedNode(NodeID(UInt32($0)), self) }
        for node in nodes where !profile.storeIsLocal {
            node.drift = Double.random(in: -Profile.maximumDrift...Profile.maximumDrift, using: &random)
        }
        makeCollection()
    }

    private func makeCollection() {
        store.put(ControlKey.cluster, ClusterRecord(id: "simulated"))
        let config = CollectionConfig(
            spaces: [VectorSpace(name: "", dimension: 4, distance: .cosine)], virtualShards: virtualShards,
            physicalShards: profile.shards, replicationFactor: profile.replicas)
        let record = CollectionRecord(id: collection, name: "c", config: config, state: .ready, createdAt: 0)
        store.put(ControlKey.collection("c"), record)
        let parts =
            profile.shards == 1 ? [[allVirtualShards]] : Resharding.divide([allVirtualShards], into: profile.shards)
        let shards = parts.enumerated().map { number, ranges in
            let homes = (0..<profile.replicas).map { nodes[($0 + number) % nodes.count] }
            let id = ShardID(collection: collection, number: ShardNumber(UInt32(number)))
            for node in homes { node.files[id] = SimulatedFiles() }
            return ShardRecord(
                id: id, virtualShards: ranges, replicas: homes.map { ReplicaRecord(node: $0.id, state: .inSync) },
                primary: homes[0].id)
        }
        _ = store.commit(guards: [], shards.map { .put(key: ControlKey.shard($0.id), value: $0.encoded) })
    }

    // MARK: - Keys

    var allVirtualShards: VirtualShardRange { VirtualShardRange(lower: 0, upper: UInt16(virtualShards - 1)) }

    func virtualShard(of key: Int) -> VirtualShard {
        VirtualShard(UInt16(key * virtualShards / Profile.mostKeys))
    }

    func owns(_ record: ShardRecord, _ key: Int) -> Bool {
        VirtualShardSet(record.virtualShards).contains(virtualShard(of: key))
    }

    func plants(_ fault: PlantedFault) -> Bool { self.fault == fault }
    func node(_ id: NodeID) -> SimulatedNode { nodes[Int(id.rawValue) - 1] }

    func newNumber() -> Int {
        numbers += 1
        return numbers
    }

    func trace(_ line: @autoclosure () -> String) {
        lines?.append("\(now / 1_000).\(String(now % 1_000 + 1_000).dropFirst()) ms  \(line())")
    }

    // MARK: - Time

    func after(_ delay: Int, _ action: @escaping () -> Void) { queue.add(at: now + delay, action) }

    /// Goes on until the time, or until something happened that must not.
    private func run(until end: Int) {
        var isOver = false
        queue.add(at: end) { isOver = true }
        while !isOver, judge.violation == nil, let event = queue.removeFirst() {
            now = event.time
            event.action()
        }
    }

    // MARK: - The history

    /// - Returns: what happened that must not, or nil.
    func run() -> String? {
        defer { queue.removeAll() }
        for node in nodes { node.start() }
        let clients = (0..<profile.clients).map { _ in SimulatedClient(self) }
        let nemesis = Nemesis(self)
        after(500_000) {
            for client in clients { client.next() }
            nemesis.run()
        }
        run(until: Self.stormTime)
        trace("everything works again")
        nemesis.stop()
        for client in clients { client.stop() }
        settle()
        judge.checkPoints()
        probe()
        settle()
        judge.checkPoints()
        for operation in store.operations where operation.state == .done {
            switch operation.kind {
            case .reshard: judge.figures.reshardings += 1
            case .drain, .setReplicationFactor: judge.figures.plans += 1
            default: judge.figures.moves += 1
            }
        }
        return judge.violation
    }

    /// Until nothing is under way: then all replicas are equal, although nobody wrote anything meanwhile.
    private func settle() {
        let end = now + Self.patience
        var calmSince: Int?
        var unrest: String?
        while now < end, judge.violation == nil {
            run(until: now + 200_000)
            unrest = judge.unrest()
            calmSince = unrest == nil ? calmSince ?? now : nil
            if let calmSince, now - calmSince >= Self.calmTime { return }
        }
        judge.fail("there is no rest after \(Self.patience / 1_000_000) s: \(unrest ?? "not for long")")
    }

    /// Each point can be written and read again.
    private func probe() {
        let client = SimulatedClient(self)
        for key in 0..<profile.keys where judge.violation == nil {
            var isWritten = false
            for _ in 0..<20 where !isWritten && judge.violation == nil {
                client.write(.set(key: key, value: UInt64(newNumber()))) { isWritten = isWritten || $0 }
                run(until: now + 500_000)
            }
            if !isWritten { judge.fail("nothing can be written any more") }
            client.read(key) {}
            run(until: now + 100_000)
        }
    }
}

import Cluster
import DataModel

/// Everything that goes wrong, and the operators who move replicas meanwhile.
final class Nemesis {
    unowned let simulation: Simulation
    private(set) var isStopped = false
    /// Operations.
    var planned = 0
    /// Nothing goes wrong, since a disk is about to be lost.
    var isCalm = false
    /// Nothing else goes wrong until the replica whose disk was lost is whole again.
    var healing: NodeID?

    init(_ simulation: Simulation) { self.simulation = simulation }

    var profile: Profile { simulation.profile }

    func run() {
        simulation.after(simulation.random.within(0...2 * profile.faultInterval)) { [self] in
            guard !isStopped else { return }
            if let node = healing, isWhole(node) { healing = nil }
            if healing == nil && !isCalm && !isBeingTakenIn { doHarm() }
            run()
        }
    }

    private func isWhole(_ node: NodeID) -> Bool {
        let node = simulation.node(node)
        return simulation.store.serving.allSatisfy {
            !$0.isInSync(node.id) || (!node.lost.contains($0.id) && node.files[$0.id] != nil)
        }
    }

    private func doHarm() {
        let faults = profile.faults
        if faults.plans, simulation.random.chance(0.15) { return changeMuch() }
        if faults.reshardings, simulation.random.chance(0.3) { return reshard() }
        guard let node = anyNode else { return }
        switch simulation.random.within(0...15) {
        case 0, 1, 2: if faults.crashes { crash(simulation.random.chance(0.5) ? node : anyPrimary ?? node) }
        case 3: if faults.crashes && simulation.random.chance(0.2) { for node in simulation.nodes { crash(node) } }
        case 4, 5:
            if faults.stops { node.stop(for: simulation.random.within(50...3 * profile.leaseTime / 1_000) * 1_000) }
        case 6, 7: if faults.partitions { partition(node) }
        case 8:
            if faults.clockJumps { node.wallOffset += Double(simulation.random.within(-5_000...5_000)) }
            if faults.slowStore { slowStore() }
        case 9: if faults.fullDisks { fillDisk(of: node) }
        case 10, 11: if faults.lostDisks { loseDisk(of: node) }
        case 12: if faults.lostDisks { repair() }
        case 13: if faults.moves { planMove() }
        case 14: if faults.moves { askForHandover() }
        case 15: if faults.moves { cancelOperation() }
        default: break
        }
    }

    /// While shards are being replaced mostly one of their primaries.
    private var anyNode: SimulatedNode? {
        if simulation.random.chance(0.7), let source = anySource { return source }
        return simulation.nodes.randomElement(using: &simulation.random)
    }

    /// Everything works again from now on.
    func stop() {
        isStopped = true
        // Perhaps there is no place for what it holds.
        undrain()
        simulation.network.cut = []
        simulation.store.slowness = 0
        simulation.slowCommits = 0
        (simulation.network.lossRate, simulation.network.duplicationRate) = (0, 0)
        for node in simulation.nodes {
            node.diskIsFull = false
            node.process.stoppedUntil = 0
            node.start()
        }
    }

    // MARK: - Nodes

    /// Any shard that serves.
    var anyShard: ShardRecord? { simulation.store.serving.randomElement(using: &simulation.random) }
    private var anyPrimary: SimulatedNode? { anyShard.map { simulation.node($0.primary) } }

    func crash(_ node: SimulatedNode) {
        node.crash()
        simulation.after(simulation.random.within(10...5_000) * 1_000) { node.start() }
    }

    private func fillDisk(of node: SimulatedNode) {
        simulation.trace("node \(node.id): its disk is full")
        node.diskIsFull = true
        simulation.after(simulation.random.within(100...3_000) * 1_000) { node.diskIsFull = false }
    }

    /// Only where the data is elsewhere too: nothing brings back what was on the last disk. So the other copy must not be
    /// about to leave the set, because its lease ends or by a message that is under way: two leases pass first in which
    /// nothing goes wrong.
    private func loseDisk(of node: SimulatedNode) {
        guard isCopied(node) else { return }
        isCalm = true
        // A lease that lapses without a fault, as short ones do where messages straggle, is a second failure too.
        (simulation.network.lossRate, simulation.network.straggleRate) = (0, 0)
        simulation.after(2 * profile.leaseTime) { [self] in
            isCalm = false
            // Nor may a change be on its way that leaves this replica the only one.
            guard !isStopped, isCopied(node), !simulation.store.isChangeUnderWay() else { return }
            simulation.trace("node \(node.id): loses its disk")
            healing = node.id
            crash(node)
            node.lost = Set(node.files.keys)
            node.files = [:]
        }
    }

    /// Whether the node has data, and none of it is, nor becomes soon, the only copy.
    private func isCopied(_ node: SimulatedNode) -> Bool {
        let records = simulation.store.serving.filter { $0.replica(on: node.id) != nil }
        guard !records.isEmpty, isAllUp, records.allSatisfy({ isCopied($0, on: node) }) else { return false }
        // A move may be about to remove the other copy, and a damaged one is none.
        return simulation.nodes.allSatisfy { node in node.replicas.values.allSatisfy { !$0.isDamaged } }
            && simulation.store.operations.allSatisfy(\.mayLoseADisk)
    }

    private func isCopied(_ record: ShardRecord, on node: SimulatedNode) -> Bool {
        record.isInSync(node.id) && record.inSync.count > 1
            && record.inSync.allSatisfy { simulation.store.entries[ControlKey.live($0)] != nil }
    }

    /// An operator takes a replica that catches up for a damaged one, just when it may be about to be taken into the
    /// in-sync set: what was in it is lost.
    private func repair() {
        let waitsForAChange = simulation.random.chance(0.8)
        eventually(within: 2_000) { [self] in
            guard isAllUp, healing == nil && !isCalm else { return false }
            for record in simulation.store.all
            where !waitsForAChange || simulation.store.isChangeUnderWay(of: ControlKey.shard(record.id)) {
                guard let replica = record.replicas.first(where: { $0.state == .catchingUp }) else { continue }
                simulation.trace("operator: repair of the replica of shard \(record.id.number) on node \(replica.node)")
                simulation.node(replica.node).replicas[record.id]?.repair()
                return true
            }
            return false
        }
    }

    /// Whether a replica that an operator gave up was taken into the in-sync set all the same, and has yet to leave it.
    private var isBeingTakenIn: Bool {
        simulation.store.serving.contains { record in
            record.inSync.contains { simulation.node($0).replicas[record.id]?.isDamaged == true }
        }
    }

    var isAllUp: Bool {
        simulation.nodes.allSatisfy { $0.isUp && !$0.isStopped } && simulation.network.cut.isEmpty
    }

    /// Tries again and again, for so many milliseconds.
    func eventually(within milliseconds: Int, every pause: Int = 1, _ action: @escaping () -> Bool) {
        guard milliseconds > 0, !isStopped, !action() else { return }
        simulation.after(pause * 1_000) { [self] in eventually(within: milliseconds - pause, every: pause, action) }
    }

    // MARK: - The network and the store

    func slowStore() {
        simulation.trace("the store is slow")
        simulation.store.slowness = simulation.random.within(500...3_000) * 1_000
        simulation.after(simulation.random.within(500...5_000) * 1_000) { [self] in simulation.store.slowness = 0 }
    }

    private func partition(_ node: SimulatedNode) {
        let others = simulation.nodes.map(\.id).filter { $0 != node.id } + [Simulation.storeID]
        let cut: [SimulatedNetwork.Link]
        switch simulation.random.within(0...4) {
        case 0: cut = others.flatMap { both(node.id, $0) }
        case 1: cut = others.map { SimulatedNetwork.Link(from: node.id, to: $0) }
        case 2: cut = others.map { SimulatedNetwork.Link(from: $0, to: node.id) }
        case 3: cut = both(node.id, Simulation.storeID)
        default: cut = others.filter { $0 != Simulation.storeID }.flatMap { both(node.id, $0) }
        }
        self.cut(cut, for: simulation.random.within(50...6_000) * 1_000)
    }

    func cut(_ links: [SimulatedNetwork.Link], for time: Int) {
        simulation.trace("the network is cut: \(links.map { "\($0.from)>\($0.to)" }.joined(separator: " "))")
        simulation.network.cut.formUnion(links)
        simulation.after(time) { [self] in simulation.network.cut.subtract(links) }
    }

    func both(_ one: NodeID, _ other: NodeID) -> [SimulatedNetwork.Link] {
        [SimulatedNetwork.Link(from: one, to: other), SimulatedNetwork.Link(from: other, to: one)]
    }
}

extension OperationRecord {
    /// Whether it never takes the last but one copy away.
    fileprivate var mayLoseADisk: Bool {
        if case .reshard = kind { true } else { state.isFinal }
    }
}

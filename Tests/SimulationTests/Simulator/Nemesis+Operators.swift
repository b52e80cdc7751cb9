import Cluster
import DataModel

/// The operators, who change the cluster meanwhile.
extension Nemesis {
    func planMove() {
        guard let record = anyShard, let from = record.replicas.map(\.node).randomElement(using: &simulation.random),
            let to = simulation.nodes.map(\.id).filter({ record.replica(on: $0) == nil })
                .randomElement(using: &simulation.random)
        else { return }
        plan(
            .move(collection: record.id.collection, shard: record.id.number, from: from, to: to),
            "move of shard \(record.id.number) from \(from) to \(to)")
    }

    func planSplit() {
        guard let record = anyShard,
            let split = try? Resharding.split(Self.part(record), into: 2, of: simulation.collection)
        else { return }
        plan(.reshard(split), "split of shard \(record.id.number)")
    }

    func planMerge() {
        let parts = simulation.store.serving.shuffled(using: &simulation.random).prefix(2).map(Self.part)
        guard let merge = try? Resharding.merge(parts, of: simulation.collection) else { return }
        plan(.reshard(merge), "merge of shards \(merge.from)")
    }

    private static func part(_ record: ShardRecord) -> Resharding.Shard {
        Resharding.Shard(number: record.id.number, virtualShards: record.virtualShards)
    }

    private func plan(_ kind: OperationRecord.Kind, _ what: String) {
        planned += 1
        let operation = OperationRecord(
            id: "operation-\(planned)", kind: kind, reason: "a test",
            createdAt: Double(simulation.now) / 1e6 + 1_000_000)
        simulation.trace("operator: \(what)")
        simulation.store.put(ControlKey.operation(operation.id), operation)
    }

    func changeMuch() {
        switch simulation.random.within(0...3) {
        case 0: planDrain()
        case 1: changeFactor()
        default: undrain()
        }
    }

    private func planDrain() {
        guard draining.isEmpty, profile.nodes > factor,
            let node = simulation.nodes.map(\.id).randomElement(using: &simulation.random),
            !isPlanned({ if case .drain = $0 { true } else { false } })
        else { return }
        plan(.drain(node: node), "drain of node \(node)")
    }

    /// Also of a node that is drained already.
    func undrain() {
        for node in draining {
            if let open = simulation.store.operations.first(where: {
                $0.kind == .drain(node: node) && !$0.state.isFinal
            }) {
                cancel(open)
            } else {
                simulation.trace("operator: undrain of node \(node)")
                _ = simulation.store.commit(guards: [], [.delete(key: ControlKey.draining(node))])
            }
        }
    }

    private func changeFactor() {
        let factor = factor
        let other = factor == 2 ? 3 : 2
        guard !isPlanned({ if case .setReplicationFactor = $0 { true } else { false } }) else { return }
        plan(
            .setReplicationFactor(collection: simulation.collection, factor: other, former: factor),
            "\(other) replicas of each shard")
    }

    private var factor: Int { simulation.store.collection?.config.replicationFactor ?? profile.replicas }

    private var draining: [NodeID] {
        simulation.nodes.map(\.id).filter { simulation.store.entries[ControlKey.draining($0)] != nil }
    }

    private func isPlanned(_ isSuch: (OperationRecord.Kind) -> Bool) -> Bool {
        simulation.store.operations.contains { !$0.state.isFinal && isSuch($0.kind) }
    }

    func cancelOperation() {
        let open = simulation.store.operations.filter { !$0.state.isFinal }
        if let operation = open.randomElement(using: &simulation.random) { cancel(operation) }
    }

    private func cancel(_ operation: OperationRecord) {
        simulation.trace("operator: cancel \(operation.id)")
        simulation.store.put(ControlKey.operation(operation.id), operation.cancelled)
    }

    func askForHandover() {
        guard var record = anyShard,
            let target = record.inSync.filter({ $0 != record.primary }).randomElement(using: &simulation.random)
        else { return }
        record.handover = target
        simulation.store.put(ControlKey.shard(record.id), record)
    }
}

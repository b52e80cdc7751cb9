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

    func cancelOperation() {
        let open = simulation.store.operations.filter { !$0.state.isFinal }
        guard let operation = open.randomElement(using: &simulation.random) else { return }
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

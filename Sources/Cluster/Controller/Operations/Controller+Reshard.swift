import DataModel

/// A split or a merge: new shards beside the old ones fill themselves; when they have nearly everything, they get their
/// backups; then a node puts them in the places of the old ones in one transaction (`Resharding.cutOver`).
extension Controller {
    /// What could not be filled so often will not be.
    private static var mostRestarts: Int { 20 }

    mutating func advanceReshard(
        _ operation: Stored<OperationRecord>, _ plan: ReshardPlan, _ slots: inout TransferSlots
    ) {
        switch operation.value.state {
        case .planned:
            guard sourcesAreThere(operation, plan) else { return }
            // One at a time: each takes a share of every node that it reads from, and of those that index.
            let others = state.openOperations.contains { other in
                guard case .reshard = other.value.kind else { return false }
                return other.value.id != operation.value.id && other.value.hasStarted
            }
            if others || hasBegunReshard { return note(operation, "waits for the split or merge that is under way") }
            if let obstacle = slots.obstacle(to: plan.sources) { return noteObstacle(operation, obstacle) }
            slots.take(plan.sources)
            hasBegunReshard = true
            beginFilling(operation, plan, instead: [], why: nil)
        case .running:
            guard sourcesAreThere(operation, plan) else { return }
            continueFilling(operation, plan)
        case .cancelling:
            let (guards, mutations) = dropping(state.fillingShards(of: operation.value), of: operation.value.id)
            finish(operation, as: .cancelled, "cancelled", guards: guards, mutations: mutations)
        case .done, .failed, .cancelled:
            return
        }
    }

    /// False, and the operation over, when what it splits or merges is gone.
    private mutating func sourcesAreThere(_ operation: Stored<OperationRecord>, _ plan: ReshardPlan) -> Bool {
        let owned = plan.sources.compactMap { state.shard($0)?.value }
        if owned.count == plan.from.count, !isDeleting(plan.collection),
            VirtualShardSet(owned.flatMap(\.virtualShards)) == VirtualShardSet(plan.into.flatMap { $0 })
        {
            return true
        }
        let (guards, mutations) = dropping(state.fillingShards(of: operation.value), of: operation.value.id)
        finish(
            operation, as: .failed, "a shard or the collection was deleted or replaced", guards: guards,
            mutations: mutations)
        return false
    }

    /// Records new shards, in the places of those of an attempt that failed.
    private mutating func beginFilling(
        _ operation: Stored<OperationRecord>, _ plan: ReshardPlan, instead former: [Stored<ShardRecord>], why: String?
    ) {
        var (guards, mutations) = dropping(former, of: operation.value.id)
        let restarts = (operation.value.restarts ?? 0) + (why == nil ? 0 : 1)
        if restarts > Self.mostRestarts {
            return finish(
                operation, as: .failed, why ?? "it was begun too often", guards: guards, mutations: mutations)
        }
        guard let collection: Stored<CollectionRecord> = state.collection(plan.collection) else { return }
        let taken = state.shards(of: plan.collection).map { $0.value.id.number.rawValue + 1 }.max() ?? 0
        let first = max(taken, collection.value.nextShard ?? 0)
        guard let shards = Resharding.newShards(plan, operation: operation.value.id, first: first, in: state) else {
            return note(operation, "waits: no node of the shards is alive")
        }
        var record = collection.value
        record.nextShard = first + UInt32(shards.count)
        let key = ControlKey.collection(record.name)
        guards.append(ControlGuard(key: key, expected: collection.revision))
        mutations.append(.put(key: key, value: record.encoded))
        for shard in shards {
            guards.append(ControlGuard(key: ControlKey.shard(shard.id), expected: nil))
            mutations.append(.put(key: ControlKey.shard(shard.id), value: shard.encoded))
        }
        let numbers = shards.map(\.id.number.description).joined(separator: ", ")
        let begins = "shards \(numbers) are being filled"
        var changed = operation
        changed.value.restarts = why == nil ? operation.value.restarts : restarts
        change(
            changed, to: .running, detail: why.map { "\(begins) from the start: \($0)" } ?? begins, summary: begins,
            guards: guards, mutations: mutations)
    }

    private mutating func continueFilling(_ operation: Stored<OperationRecord>, _ plan: ReshardPlan) {
        let shards = state.fillingShards(of: operation.value)
        if let reason = Resharding.lackOfSpace(for: shards, of: operation.value, in: state) {
            let (guards, mutations) = dropping(shards, of: operation.value.id)
            return finish(operation, as: .failed, reason, guards: guards, mutations: mutations)
        }
        if let obstacle = Resharding.obstacle(to: shards, of: operation.value, plan, in: state) {
            return beginFilling(operation, plan, instead: shards, why: obstacle)
        }
        let progress = shards.map { state.fillingProgress(of: $0.value)?.phase ?? .copying }
        guard progress.allSatisfy({ $0 == .following }) else {
            let numbers = shards.map(\.value.id.number.description).joined(separator: ", ")
            if !progress.contains(.copying), !progress.contains(.indexing) {
                return note(operation, "the shards \(numbers) cannot apply writes as fast as they come")
            }
            let phase = progress.contains(.copying) ? "copied" : "indexed"
            return note(operation, "points are being \(phase) into the shards \(numbers)")
        }
        for shard in shards {
            // Those of dead nodes too: they catch up when they come back.
            let homes = Resharding.homes(of: shard.value, plan, in: state)
            guard let missing = homes.first(where: { shard.value.replica(on: $0) == nil }) else { continue }
            return replace(
                shard, with: shard.value.adding(missing),
                summary: "operation \(operation.value.id): node \(missing) gets a replica of shard \(shard.value.id)",
                operation, becomes: .running, detail: "the new shards get their replicas")
        }
        note(
            operation,
            Resharding.mayCutOver(shards, plan, in: state)
                ? "the new shards take over" : "the new shards get their replicas")
    }

    /// Takes new shards out of the map.
    private mutating func dropping(
        _ shards: [Stored<ShardRecord>], of operation: String
    ) -> (guards: [ControlGuard], mutations: [ControlMutation]) {
        var guards: [ControlGuard] = []
        var mutations: [ControlMutation] = []
        for shard in shards {
            touch(shard.value.id)
            guards.append(ControlGuard(key: ControlKey.shard(shard.value.id), expected: shard.revision))
            mutations.append(.delete(key: ControlKey.shard(shard.value.id)))
            mutations.append(.delete(key: ControlKey.progress(operation, shard.value.id.number)))
        }
        return (guards, mutations)
    }
}

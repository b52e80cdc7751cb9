package import DataModel

/// One attempt at filling the new shards of a split or merge. Pure.
extension Resharding {
    /// The records of new shards with their primaries alone, which fill themselves; nil while no node of the old shards is
    /// alive.
    ///
    /// - Parameter first: the number of the first new shard.
    package static func newShards(
        _ plan: ReshardPlan, operation: String, first: UInt32, in state: ClusterState
    ) -> [ShardRecord]? {
        let homes = places(for: plan, in: state)
        guard let nodes = homes.map({ $0.filter { state.isLive($0) } }).first(where: { !$0.isEmpty }) else { return nil }
        return plan.into.enumerated().map { index, ranges in
            // In turns, so that a split's halves are not all written on one node.
            let primary = nodes[index % nodes.count]
            return ShardRecord(
                id: ShardID(collection: plan.collection, number: ShardNumber(first + UInt32(index))),
                virtualShards: ranges, replicas: [ReplicaRecord(node: primary, state: .inSync)], primary: primary,
                filling: ShardRecord.Filling(
                    operation: operation, incarnation: state.live[primary]?.value.incarnation ?? 0))
        }
    }

    /// The nodes that get replicas of a new shard: those of the anchor; where the shard began elsewhere, since none of them
    /// lived then, those of the source it began at.
    static func homes(of shard: ShardRecord, _ plan: ReshardPlan, in state: ClusterState) -> [NodeID] {
        let places = places(for: plan, in: state)
        return places.first { $0.contains(shard.primary) } ?? places.first ?? []
    }

    /// The nodes of each shard that is replaced, its primary first; those of the anchor before the others.
    private static func places(for plan: ReshardPlan, in state: ClusterState) -> [[NodeID]] {
        let records = ([plan.anchor] + plan.from.filter { $0 != plan.anchor }).compactMap {
            state.shard(ShardID(collection: plan.collection, number: $0))?.value
        }
        return records.map { record in
            [record.primary] + record.replicas.map(\.node).filter { $0 != record.primary }
        }
    }

    /// Why the new shards must be filled from scratch, in others: what is there cannot be gone on with.
    package static func obstacle(
        to shards: [Stored<ShardRecord>], of operation: OperationRecord, _ plan: ReshardPlan, in state: ClusterState
    ) -> String? {
        guard shards.map(\.value.virtualShards) == plan.into else { return "a new shard is gone" }
        for shard in shards.map(\.value) {
            guard let live = state.live[shard.primary], live.value.incarnation == shard.filling?.incarnation else {
                return "node \(shard.primary), which filled shard \(shard.id.number), was restarted or is gone"
            }
            if let progress = state.fillingProgress(of: shard), progress.phase == .failed {
                return "shard \(shard.id.number): \(progress.detail)"
            }
        }
        return nil
    }

    /// Why there will be no new shards before an operator makes room: each attempt would take from writers what is left.
    package static func lackOfSpace(
        for shards: [Stored<ShardRecord>], of operation: OperationRecord, in state: ClusterState
    ) -> String? {
        if let reason = state.progress[operation.id]?.lackOfRoom { return reason }
        for shard in shards.map(\.value) {
            guard let progress = state.fillingProgress(of: shard), progress.phase == .outOfSpace else { continue }
            return "node \(shard.primary) has no room for shard \(shard.id.number): \(progress.detail)"
        }
        return nil
    }

    /// Whether every new shard has nearly all that there is, on each of its replicas whose node lives. Those of dead nodes
    /// have their places too: nobody adds them later.
    package static func mayCutOver(_ shards: [Stored<ShardRecord>], _ plan: ReshardPlan, in state: ClusterState) -> Bool {
        guard shards.map(\.value.virtualShards) == plan.into else { return false }
        return shards.allSatisfy { shard in
            state.fillingProgress(of: shard.value)?.phase == .following
                && homes(of: shard.value, plan, in: state).allSatisfy { node in
                    shard.value.replica(on: node).map { $0.state == .inSync || !state.isLive(node) } ?? false
                }
        }
    }

    /// The node that performs the cut-over of an operation whose new shards are ready for it; nil when they are not.
    package static func conductor(of operation: OperationRecord, in state: ClusterState) -> NodeID? {
        guard case .reshard(let plan) = operation.kind, operation.state == .running else { return nil }
        let shards = state.fillingShards(of: operation)
        return mayCutOver(shards, plan, in: state) ? shards.first?.value.primary : nil
    }

    /// The transaction that puts the new shards in the places of the old ones, and ends the operation.
    ///
    /// - Parameter sources: the revisions of the old shards' records at which their primaries have stopped writes: each
    ///   changes its record before it takes a write again, so the transaction cannot come too late.
    /// - Returns: nil when anything that it needs is not there any more.
    package static func cutOver(
        _ operation: Stored<OperationRecord>, sources: [ShardID: Revision], in state: ClusterState
    ) -> (guards: [ControlGuard], mutations: [ControlMutation])? {
        guard case .reshard(let plan) = operation.value.kind, operation.value.state == .running,
            let collection: Stored<CollectionRecord> = state.collection(plan.collection),
            collection.value.state == .ready, Set(plan.sources) == Set(sources.keys)
        else { return nil }
        let shards = state.fillingShards(of: operation.value)
        guard mayCutOver(shards, plan, in: state) else { return nil }
        var guards: [ControlGuard] = []
        var mutations: [ControlMutation] = []
        for (id, revision) in sources.sorted(by: { $0.key < $1.key }) {
            guards.append(ControlGuard(key: ControlKey.shard(id), expected: revision))
            mutations.append(.delete(key: ControlKey.shard(id)))
        }
        for shard in shards {
            let key = ControlKey.shard(shard.value.id)
            guards.append(ControlGuard(key: key, expected: shard.revision))
            mutations.append(.put(key: key, value: shard.value.serving.encoded))
            mutations.append(.delete(key: ControlKey.progress(operation.value.id, shard.value.id.number)))
        }
        var changed = collection.value
        changed.config.physicalShards = state.servingShards(of: plan.collection).count - plan.from.count + plan.into.count
        let collectionKey = ControlKey.collection(changed.name)
        guards.append(ControlGuard(key: collectionKey, expected: collection.revision))
        mutations.append(.put(key: collectionKey, value: changed.encoded))
        var over = operation.value
        over.state = .done
        over.detail = "replaced by shards \(shards.map(\.value.id.number.description).joined(separator: ", "))"
        let key = ControlKey.operation(over.id)
        guards.append(ControlGuard(key: key, expected: operation.revision))
        mutations.append(.put(key: key, value: over.encoded))
        return (guards, mutations)
    }
}

extension ClusterState {
    /// How far a shard that is being filled is; nil before its primary said so.
    package func fillingProgress(of shard: ShardRecord) -> OperationProgress.Filling? {
        shard.filling.flatMap { progress["\($0.operation)/\(shard.id.number)"]?.filling }
    }
}

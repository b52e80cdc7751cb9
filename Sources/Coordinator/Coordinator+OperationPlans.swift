import Cluster
import DataModel

/// What an operation is to be, checked, with the plan of its steps.
struct PreparedOperation {
    var kind: OperationRecord.Kind
    /// Whether the operation plans steps; one that does not is its only step itself.
    var hasSteps = true
    var steps: [PlannedStep]
    var loads: [MovePlan.NodeLoad] = []

    func report(in state: ClusterState) -> OperationPlan {
        OperationPlan(
            loads: loads.map { node in
                OperationPlan.NodeLoad(
                    node: node.node, zone: state.nodes[node.node]?.value.zone, replicas: node.replicas,
                    points: node.load.points, bytes: node.load.bytes, searchMicroseconds: node.load.searchMicroseconds)
            },
            steps: steps.compactMap { step in
                guard let shard = step.kind.shard else { return nil }
                return OperationPlan.Step(
                    kind: OperationWords(step.kind, in: state).kind,
                    collection: OperationWords.name(of: shard.collection, in: state), shard: shard.number,
                    from: step.kind.source, to: step.kind.target, bytes: step.bytes, reason: step.reason)
            })
    }
}

extension Coordinator {
    /// Refuses what cannot be, with the field and the reason; plans the rest.
    func prepare(
        _ request: OperationRequest, in state: ClusterState, deadline: Deadline
    ) async throws(DatabaseError) -> PreparedOperation {
        switch request {
        case .move(let collection, let shard, let from, let to):
            let record = try idleShard(shard, of: collection, in: state)
            try requireReplica(of: record, on: from, in: state)
            try requireRoom(for: record, on: to, in: state)
            let kind = OperationRecord.Kind.move(
                collection: record.id.collection, shard: shard, from: from, to: to)
            return await single(kind, of: record, in: state, deadline: deadline)
        case .replicate(let collection, let shard, let to):
            let record = try idleShard(shard, of: collection, in: state)
            try requireRoom(for: record, on: to, in: state)
            let kind = OperationRecord.Kind.replicate(collection: record.id.collection, shard: shard, to: to)
            return await single(kind, of: record, in: state, deadline: deadline)
        case .dropReplica(let collection, let shard, let from):
            let record = try idleShard(shard, of: collection, in: state)
            try requireReplica(of: record, on: from, in: state)
            try requireOthers(of: record, than: from, in: state)
            return PreparedOperation(
                kind: .dropReplica(collection: record.id.collection, shard: shard, from: from), hasSteps: false,
                steps: [
                    PlannedStep(
                        kind: .dropReplica(collection: record.id.collection, shard: shard, from: from),
                        reason: "asked for", bytes: 0)
                ])
        case .setReplicationFactor(let collection, let factor):
            return try await factorPlan(collection, factor, in: state, deadline: deadline)
        case .drain(let node):
            return try await emptyingPlan(.drain(node: node), node, in: state, deadline: deadline)
        case .remove(let node):
            return try await emptyingPlan(.remove(node: node), node, in: state, deadline: deadline)
        case .rebalance(let measure):
            if let open = state.openOperations.first {
                throw .invalid(reason: "operation \(open.value.id) is not over yet: wait for it, or cancel it")
            }
            let loads = await loads(in: state, deadline: deadline)
            let plan = Rebalancer.plan(state, loads: loads, by: measure)
            return PreparedOperation(
                kind: .rebalance(by: measure),
                steps: plan.moves.map { move in
                    let kind = OperationRecord.Kind.move(
                        collection: move.shard.collection, shard: move.shard.number, from: move.from, to: move.to)
                    return PlannedStep(kind: kind, reason: move.reason, bytes: move.bytes)
                }, loads: plan.loads)
        }
    }

    // MARK: - One shard

    private func idleShard(
        _ number: ShardNumber, of collection: String, in state: ClusterState
    ) throws(DatabaseError) -> ShardRecord {
        guard let record = state.collection(collection)?.value else { throw .collectionNotFound(collection) }
        let id = ShardID(collection: record.id, number: number)
        guard let shard = state.shard(id)?.value else {
            throw .invalid(reason: "shard: collection \(collection) has no shard \(number)")
        }
        if shard.filling != nil {
            throw .invalid(reason: "shard: shard \(number) is still being filled by a split or merge")
        }
        if let open = state.openOperations.first(where: { $0.value.kind.shards.contains(id) }) {
            throw .invalid(reason: "shard: operation \(open.value.id) on shard \(number) is not over yet")
        }
        return shard
    }

    private func requireReplica(
        of shard: ShardRecord, on node: NodeID, in state: ClusterState
    ) throws(DatabaseError) {
        guard shard.replica(on: node) != nil else {
            throw .invalid(reason: "from: node \(node) has no replica of shard \(shard.id.number)")
        }
    }

    private func requireRoom(
        for shard: ShardRecord, on node: NodeID, in state: ClusterState
    ) throws(DatabaseError) {
        guard state.nodes[node] != nil else { throw .invalid(reason: "to: the cluster has no node \(node)") }
        guard state.isLive(node) else { throw .invalid(reason: "to: node \(node) is down") }
        guard !state.isDraining(node) else {
            throw .invalid(reason: "to: node \(node) is drained, or is being drained")
        }
        guard shard.replica(on: node) == nil else {
            throw .invalid(reason: "to: node \(node) has a replica of shard \(shard.id.number) already")
        }
    }

    /// What is left must be able to answer, and to take writes.
    private func requireOthers(
        of shard: ShardRecord, than node: NodeID, in state: ClusterState
    ) throws(DatabaseError) {
        let others = shard.inSync.filter { $0 != node && state.isLive($0) }
        guard !others.isEmpty else {
            throw .invalid(
                reason: "from: node \(node) has the only replica of shard \(shard.id.number) that is in sync and alive")
        }
        let collection: Stored<CollectionRecord>? = state.collection(shard.id.collection)
        let wanted = collection?.value.config.writeConsistencyFactor ?? 1
        guard others.count >= wanted else {
            throw .invalid(
                reason: "from: \(others.count) replicas in sync would be left of shard \(shard.id.number), and the "
                    + "collection's write_consistency_factor is \(wanted)")
        }
    }

    private func single(
        _ kind: OperationRecord.Kind, of shard: ShardRecord, in state: ClusterState, deadline: Deadline
    ) async -> PreparedOperation {
        let statuses = await ReplicaStatuses.ask(
            [shard], live: state.liveNodes, router: router, deadline: deadline)
        let bytes = statuses.best(of: shard)?.diskBytes ?? 0
        return PreparedOperation(
            kind: kind, hasSteps: false, steps: [PlannedStep(kind: kind, reason: "asked for", bytes: bytes)])
    }

    // MARK: - Many shards

    private func factorPlan(
        _ name: String, _ factor: Int, in state: ClusterState, deadline: Deadline
    ) async throws(DatabaseError) -> PreparedOperation {
        guard let collection = state.collection(name)?.value, collection.state == .ready else {
            throw .collectionNotFound(name)
        }
        guard Limits.replicationFactor.contains(factor) else {
            let range = Limits.replicationFactor
            throw .invalid(reason: "factor: \(factor) is outside of \(range.lowerBound)...\(range.upperBound)")
        }
        let accepting = state.acceptingNodes.count
        guard factor <= accepting else {
            throw .invalid(
                reason: "factor: \(factor) replicas of a shard need as many nodes that take replicas, there are "
                    + "\(accepting)")
        }
        guard collection.config.writeConsistencyFactor <= factor else {
            throw .invalid(
                reason: "factor: \(factor) is less than the collection's write_consistency_factor, "
                    + "\(collection.config.writeConsistencyFactor): no write could succeed")
        }
        let open = state.openOperations.first { operation in
            if case .setReplicationFactor(collection.id, _, _) = operation.value.kind { true } else { false }
        }
        if let open {
            throw .invalid(reason: "collection: operation \(open.value.id) is not over yet: cancel it first")
        }
        let plan = ReplicaPlanner.replicating(
            collection.id, factor: factor, in: state, loads: await loads(in: state, deadline: deadline))
        if !plan.obstacles.isEmpty { throw .invalid(reason: "factor: \(Self.list(plan.obstacles))") }
        return PreparedOperation(
            kind: .setReplicationFactor(
                collection: collection.id, factor: factor, former: collection.config.replicationFactor),
            steps: plan.steps)
    }

    private func emptyingPlan(
        _ kind: OperationRecord.Kind, _ node: NodeID, in state: ClusterState, deadline: Deadline
    ) async throws(DatabaseError) -> PreparedOperation {
        guard state.nodes[node] != nil else { throw .invalid(reason: "node: the cluster has no node \(node)") }
        let open = state.openOperations.first { operation in
            operation.value.kind == .drain(node: node) || operation.value.kind == .remove(node: node)
        }
        if let open { throw .invalid(reason: "node: operation \(open.value.id) on node \(node) is not over yet") }
        guard state.acceptingNodes.contains(where: { $0 != node }) else {
            throw .invalid(reason: "node: no other node takes replicas")
        }
        let loads = await loads(in: state, deadline: deadline)
        let plan = ReplicaPlanner.emptying(node, in: state, loads: loads)
        if !plan.obstacles.isEmpty { throw .invalid(reason: "node: \(Self.list(plan.obstacles))") }
        return PreparedOperation(kind: kind, steps: plan.steps)
    }

    /// Obstacles are as many as shards; a message names some.
    private static func list(_ obstacles: [String]) -> String {
        let shown = obstacles.prefix(5).joined(separator: "; ")
        return obstacles.count <= 5 ? shown : "\(shown); and \(obstacles.count - 5) more"
    }

    /// What the replicas of all shards weigh, as far as they answer.
    func loads(in state: ClusterState, deadline: Deadline) async -> [ShardID: [NodeID: ReplicaLoad]] {
        let shards = state.allShards.map(\.value)
        let statuses = await ReplicaStatuses.ask(
            shards, live: state.liveNodes, router: router, deadline: deadline)
        var loads: [ShardID: [NodeID: ReplicaLoad]] = [:]
        for shard in shards {
            for replica in shard.replicas {
                guard let status = statuses[shard.id, replica.node] else { continue }
                loads[shard.id, default: [:]][replica.node] = ReplicaLoad(
                    points: status.points, bytes: status.diskBytes, searchMicroseconds: status.searchMicroseconds)
            }
        }
        return loads
    }
}

package import DataModel

/// Plans which replicas are made and dropped so that a node holds nothing, or a collection has so many copies of each
/// shard. Pure and deterministic.
package enum ReplicaPlanner {
    package struct Outcome: Sendable, Equatable {
        package var steps: [PlannedStep] = []
        /// For which shards there is nothing to do about it, and why.
        package var obstacles: [String] = []
        /// Whether a shard was left out because another operation works on it.
        package var isBusy = false
    }

    /// What takes every replica away from the node: moves, or where a shard has more replicas than its collection asks
    /// for, dropping it.
    ///
    /// - Parameter loads: what is known of each replica, for estimates and the choice of targets.
    package static func emptying(
        _ node: NodeID, in state: ClusterState, loads: [ShardID: [NodeID: ReplicaLoad]]
    ) -> Outcome {
        var model = ReplicaModel(state, loads: loads)
        var outcome = Outcome()
        var moves: [Move] = []
        let busy = Set(state.openOperations.flatMap(\.value.kind.shards))
        guard let leaving = model.nodeIndices[node] else { return outcome }
        for record in state.allShards.map(\.value) where record.replica(on: node) != nil {
            guard let shard = model.shardIndices[record.id] else { continue }
            if busy.contains(record.id) {
                outcome.isBusy = true
                continue
            }
            let name = "\(model.shards[shard].collection)/\(record.id.number)"
            if let reason = surplus(record, without: node, in: state) {
                let kind = OperationRecord.Kind.dropReplica(
                    collection: record.id.collection, shard: record.id.number, from: node)
                outcome.steps.append(PlannedStep(kind: kind, reason: reason, bytes: 0))
                model.drop(shard, from: leaving)
            } else if !state.isLive(node), !record.inSync.contains(where: { $0 != node }) {
                outcome.obstacles.append("node \(node) is down and has the only replica of \(name) that is in sync")
            } else if let target = model.target(for: shard, leaving: leaving, excluding: leaving) {
                moves.append(Move(shard: shard, to: target, reason: model.reason(for: target, shard, leaving: leaving)))
                model.move(shard, from: leaving, to: target)
            } else {
                outcome.obstacles.append("no other node can take node \(node)'s replica of \(name)")
            }
        }
        spread(&moves, &model, emptied: leaving)
        outcome.steps += moves.map { move in
            let shard = model.shards[move.shard]
            let kind = OperationRecord.Kind.move(
                collection: shard.id.collection, shard: shard.id.number, from: node, to: model.nodes[move.to].id)
            return PlannedStep(
                kind: kind, reason: "node \(node) gives it up; \(move.reason)", bytes: shard.largest.bytes)
        }
        return outcome
    }

    private struct Move {
        let shard: Int
        var to: Int
        var reason: String
    }

    /// Takes moves elsewhere whose targets were the best when they were chosen, and are fuller than others by now.
    private static func spread(_ moves: inout [Move], _ model: inout ReplicaModel, emptied: Int) {
        var hasChanged = true
        while hasChanged {
            hasChanged = false
            for index in moves.indices {
                let (shard, from) = (moves[index].shard, moves[index].to)
                guard let better = model.target(for: shard, leaving: from, excluding: emptied),
                    model.nodes[better].count <= model.nodes[from].count - 2,
                    !model.sharesZone(shard, on: better, leaving: from)
                        || model.sharesZone(shard, on: from, leaving: nil)
                else { continue }
                moves[index].reason = model.reason(for: better, shard, leaving: from)
                moves[index].to = better
                model.move(shard, from: from, to: better)
                hasChanged = true
            }
        }
    }

    /// Why the node's replica need not be made elsewhere; nil when it must.
    private static func surplus(_ record: ShardRecord, without node: NodeID, in state: ClusterState) -> String? {
        let collection: Stored<CollectionRecord>? = state.collection(record.id.collection)
        guard let factor = collection?.value.config.replicationFactor else { return nil }
        let staying = record.inSync.filter { $0 != node && state.accepts($0) }
        guard staying.count >= factor else { return nil }
        return "node \(node) gives it up; \(staying.count) other replicas are in sync, and \(factor) are asked for"
    }

    /// What gives each shard of the collection `factor` replicas.
    ///
    /// - Parameter loads: what is known of each replica, for estimates and the choice of nodes.
    package static func replicating(
        _ collection: CollectionID, factor: Int, in state: ClusterState, loads: [ShardID: [NodeID: ReplicaLoad]]
    ) -> Outcome {
        var model = ReplicaModel(state, loads: loads)
        var outcome = Outcome()
        let busy = Set(state.openOperations.flatMap(\.value.kind.shards))
        for record in state.servingShards(of: collection).map(\.value) {
            guard let shard = model.shardIndices[record.id] else { continue }
            if busy.contains(record.id) {
                outcome.isBusy = true
                continue
            }
            while model.shards[shard].places.count < factor {
                guard let target = model.target(for: shard, leaving: nil) else {
                    outcome.obstacles.append(
                        "no node can take another replica of \(model.shards[shard].collection)/\(record.id.number)")
                    break
                }
                let kind = OperationRecord.Kind.replicate(
                    collection: collection, shard: record.id.number, to: model.nodes[target].id)
                outcome.steps.append(
                    PlannedStep(
                        kind: kind, reason: model.reason(for: target, shard, leaving: nil),
                        bytes: model.shards[shard].largest.bytes))
                model.add(shard, on: target)
            }
            while model.shards[shard].places.count > factor,
                let (node, reason) = superfluous(record, shard, model, state)
            {
                let kind = OperationRecord.Kind.dropReplica(
                    collection: collection, shard: record.id.number, from: model.nodes[node].id)
                outcome.steps.append(PlannedStep(kind: kind, reason: reason, bytes: 0))
                model.drop(shard, from: node)
            }
        }
        return outcome
    }

    /// The replica that is missed least: first one that cannot answer, then one that shares its zone, then one on a
    /// full node, and the primary last. Never the only one that is in sync: it alone has everything, dead or not.
    private static func superfluous(
        _ record: ShardRecord, _ shard: Int, _ model: ReplicaModel, _ state: ClusterState
    ) -> (node: Int, reason: String)? {
        func rank(_ node: Int) -> [Int] {
            let id = model.nodes[node].id
            return [
                record.inSync == [id] ? 0 : 1,
                state.isLive(id) ? 0 : 1, record.isInSync(id) ? 0 : 1, state.isDraining(id) ? 1 : 0,
                model.sharesZone(shard, on: node, leaving: nil) ? 1 : 0, record.primary == id ? 0 : 1,
                model.nodes[node].count, node,
            ]
        }
        let places = model.shards[shard].places
        guard let node = places.max(by: { rank($0).lexicographicallyPrecedes(rank($1)) }) else { return nil }
        let id = model.nodes[node].id
        let reason =
            if !state.isLive(id) {
                "node \(id) is down"
            } else if !record.isInSync(id) {
                "the replica of node \(id) is not in sync"
            } else if state.isDraining(id) {
                "node \(id) is being drained"
            } else if model.sharesZone(shard, on: node, leaving: nil) {
                "node \(id) is in zone \(model.nodes[node].zone ?? "") with another replica of the shard"
            } else {
                "of its nodes without the primary, node \(id) has the most replicas, \(model.nodes[node].count)"
            }
        return (node, reason)
    }
}

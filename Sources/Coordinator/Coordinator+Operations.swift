import Cluster
package import DataModel
import Foundation

extension Coordinator {
    package func move(_ request: MoveRequest, deadline: Deadline) async throws(DatabaseError) -> OperationStatus {
        let state = try await freshState()
        guard let collection = state.collection(request.collection)?.value else {
            throw .collectionNotFound(request.collection)
        }
        let id = ShardID(collection: collection.id, number: request.shard)
        guard let shard = state.shard(id)?.value else {
            throw .invalid(reason: "shard: collection \(request.collection) has no shard \(request.shard)")
        }
        guard shard.replica(on: request.from) != nil else {
            throw .invalid(reason: "from: node \(request.from) has no replica of shard \(request.shard)")
        }
        guard state.nodes[request.to] != nil else {
            throw .invalid(reason: "to: the cluster has no node \(request.to)")
        }
        guard state.isLive(request.to) else { throw .invalid(reason: "to: node \(request.to) is down") }
        guard shard.replica(on: request.to) == nil else {
            throw .invalid(reason: "to: node \(request.to) has a replica of shard \(request.shard) already")
        }
        if let open = state.openOperations.first(where: { $0.value.kind.shard == id }) {
            throw .invalid(reason: "shard: operation \(open.value.id) on shard \(request.shard) is not over yet")
        }
        let statuses = await ReplicaStatuses.ask(
            [shard], live: state.liveNodes, router: router, deadline: deadline)
        return try await plan(
            request, shard: id, bytes: statuses.best(of: shard)?.diskBytes ?? 0, reason: "asked for")
    }

    private func plan(
        _ request: MoveRequest, shard: ShardID, bytes: UInt64, reason: String
    ) async throws(DatabaseError) -> OperationStatus {
        let operation = OperationRecord(
            id: String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16),
            kind: .move(collection: shard.collection, shard: shard.number, from: request.from, to: request.to),
            reason: reason, bytesTotal: bytes, createdAt: Date().timeIntervalSince1970,
            maxBytesPerSecond: request.maxBytesPerSecond)
        let key = ControlKey.operation(operation.id)
        let outcome = try await transact(
            guards: [ControlGuard(key: key, expected: nil)], mutations: [.put(key: key, value: operation.encoded)])
        guard case .committed = outcome else {
            throw .unavailable(reason: "the operation's id was taken; try again")
        }
        return OperationStatus(operation, in: try await freshState())
    }

    package func rebalancePlan(deadline: Deadline) async throws(DatabaseError) -> RebalancePlan {
        let state = try await freshState()
        let plan = await freshPlan(state, deadline: deadline)
        return RebalancePlan(
            loads: plan.loads.map {
                RebalancePlan.NodeLoad(node: $0.node, replicas: $0.replicas, points: $0.points, bytes: $0.bytes)
            },
            steps: plan.moves.map {
                RebalancePlan.Step(
                    move: MoveRequest(collection: $0.collection, shard: $0.shard.number, from: $0.from, to: $0.to),
                    bytes: $0.bytes, reason: $0.reason)
            })
    }

    package func rebalance(deadline: Deadline) async throws(DatabaseError) -> [OperationStatus] {
        let state = try await freshState()
        if let open = state.openOperations.first {
            throw .invalid(reason: "operation \(open.value.id) is not over yet: wait for it, or cancel it")
        }
        var operations: [OperationStatus] = []
        for move in await freshPlan(state, deadline: deadline).moves {
            let request = MoveRequest(
                collection: move.collection, shard: move.shard.number, from: move.from, to: move.to)
            operations.append(
                try await plan(request, shard: move.shard, bytes: move.bytes, reason: move.reason))
        }
        return operations
    }

    private func freshPlan(_ state: ClusterState, deadline: Deadline) async -> MovePlan {
        let shards = state.allShards.map(\.value)
        let statuses = await ReplicaStatuses.ask(
            shards, live: state.liveNodes, router: router, deadline: deadline)
        var loads: [ShardID: [NodeID: ReplicaLoad]] = [:]
        for shard in shards {
            for replica in shard.replicas {
                guard let status = statuses[shard.id, replica.node] else { continue }
                loads[shard.id, default: [:]][replica.node] = ReplicaLoad(
                    points: status.points, bytes: status.diskBytes)
            }
        }
        return Rebalancer.plan(state, loads: loads)
    }

    package func operations() async throws(DatabaseError) -> [OperationStatus] {
        OperationStatus.recent(in: try await freshState())
    }

    package func cancelOperation(_ id: String) async throws(DatabaseError) -> OperationStatus {
        while true {
            let state = try await freshState()
            guard let stored = state.operations[id] else { throw .operationNotFound(id) }
            if stored.value.state.isFinal {
                throw .invalid(reason: "operation \(id) is \(stored.value.state.rawValue) already")
            }
            guard stored.value.state != .cancelling else { return OperationStatus(stored.value, in: state) }
            var record = stored.value
            record.state = .cancelling
            record.detail = "being cancelled"
            let key = ControlKey.operation(id)
            let outcome = try await transact(
                guards: [ControlGuard(key: key, expected: stored.revision)],
                mutations: [.put(key: key, value: record.encoded)])
            if case .committed = outcome { return OperationStatus(record, in: try await freshState()) }
        }
    }
}

import Cluster
package import DataModel
import Foundation

extension Coordinator {
    package func clusterStatus(deadline: Deadline) async throws(DatabaseError) -> ClusterStatus {
        let state = try await freshState()
        let shards = state.allShards.map(\.value)
        var replicas: [NodeID: Int] = [:]
        var primaries: [NodeID: Int] = [:]
        for shard in shards {
            for replica in shard.replicas { replicas[replica.node, default: 0] += 1 }
            primaries[shard.primary, default: 0] += 1
        }
        let nodes = state.nodes.values.map(\.value).sorted { $0.id < $1.id }.map { node in
            ClusterStatus.Node(
                id: node.id, httpAddress: node.httpAddress, rpcAddress: "\(node.rpcHost):\(node.rpcPort)",
                alive: state.isLive(node.id), isController: state.controller?.value.node == node.id,
                replicas: replicas[node.id] ?? 0, primaries: primaries[node.id] ?? 0)
        }
        let collections = state.collections.values.map(\.value).sorted { $0.name < $1.name }.map { collection in
            ClusterStatus.Collection(
                name: collection.name, id: collection.id, physicalShards: collection.config.physicalShards,
                virtualShards: collection.config.virtualShards,
                replicationFactor: collection.config.replicationFactor,
                health: health(
                    of: state.shards(of: collection.id).map(\.value), live: state.liveNodes, statuses: nil))
        }
        return ClusterStatus(
            clusterID: state.cluster?.value.id ?? "", answeredBy: node, nodes: nodes, collections: collections,
            operations: recentOperations(in: state))
    }

    package func shardTables(
        collection: String?, deadline: Deadline
    ) async throws(DatabaseError) -> [ShardTable] {
        let state = try await freshState()
        let collections: [CollectionRecord]
        if let collection {
            guard let record = state.collection(collection)?.value else { throw .collectionNotFound(collection) }
            collections = [record]
        } else {
            collections = state.collections.values.map(\.value).sorted { $0.name < $1.name }
        }
        let shards = collections.flatMap { state.shards(of: $0.id).map(\.value) }
        let statuses = await ReplicaStatuses.ask(
            shards, live: state.liveNodes, router: router, deadline: deadline)
        return collections.map { collection in
            ShardTable(
                collection: collection.name, collectionID: collection.id,
                shards: state.shards(of: collection.id).map { row(of: $0.value, state: state, statuses: statuses) })
        }
    }

    private func row(of shard: ShardRecord, state: ClusterState, statuses: ReplicaStatuses) -> ShardTable.Shard {
        let replicas = shard.replicas.map { replica in
            let status = statuses[shard.id, replica.node]
            let isReachable = state.isLive(replica.node) && (status != nil || replica.state == .catchingUp)
            let shown: ShardTable.ReplicaState =
                status?.damage != nil
                ? .damaged : !isReachable ? .unreachable : replica.state == .inSync ? .inSync : .catchingUp
            return ShardTable.Replica(
                node: replica.node, state: shown, isPrimary: replica.node == shard.primary, points: status?.points,
                unindexedRows: status?.unindexedRows, bytes: status?.diskBytes, sequence: status?.position.sequence,
                deadRows: status?.deadRows, compaction: status?.compaction?.description, damage: status?.damage)
        }
        return ShardTable.Shard(
            number: shard.id.number, virtualShards: shard.virtualShards, epoch: shard.epoch, replicas: replicas)
    }

    // MARK: - Operations

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
        if let open = state.openOperations.first(where: { $0.value.shard == id }) {
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
            reason: reason, bytesTotal: bytes, createdAt: Date().timeIntervalSince1970)
        let key = ControlKey.operation(operation.id)
        let outcome = try await transact(
            guards: [ControlGuard(key: key, expected: nil)], mutations: [.put(key: key, value: operation.encoded)])
        guard case .committed = outcome else {
            throw .unavailable(reason: "the operation's id was taken; try again")
        }
        return status(of: operation, in: try await freshState())
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
        recentOperations(in: try await freshState())
    }

    package func cancelOperation(_ id: String) async throws(DatabaseError) -> OperationStatus {
        while true {
            let state = try await freshState()
            guard let stored = state.operations[id] else { throw .operationNotFound(id) }
            if stored.value.state.isFinal {
                throw .invalid(reason: "operation \(id) is \(stored.value.state.rawValue) already")
            }
            guard stored.value.state != .cancelling else { return status(of: stored.value, in: state) }
            var record = stored.value
            record.state = .cancelling
            record.detail = "being cancelled"
            let key = ControlKey.operation(id)
            let outcome = try await transact(
                guards: [ControlGuard(key: key, expected: stored.revision)],
                mutations: [.put(key: key, value: record.encoded)])
            if case .committed = outcome { return status(of: record, in: try await freshState()) }
        }
    }

    /// For how long an operation that is over is shown.
    private static let operationHistory: Double = 24 * 60 * 60

    private func recentOperations(in state: ClusterState) -> [OperationStatus] {
        let oldest = Date().timeIntervalSince1970 - Self.operationHistory
        return state.operations.values.map(\.value).filter { !$0.state.isFinal || $0.createdAt >= oldest }
            .sorted { ($1.createdAt, $1.id) < ($0.createdAt, $0.id) }
            .map { status(of: $0, in: state) }
    }

    private func status(of operation: OperationRecord, in state: ClusterState) -> OperationStatus {
        let progress = state.progress[operation.id]
        let shown: OperationStatus.State =
            switch operation.state {
            case .planned: .planned
            case .running, .cancelling: .running
            case .done: .done
            case .failed: .failed
            case .cancelled: .cancelled
            }
        let total = max(progress?.bytesTotal ?? 0, progress == nil ? operation.bytesTotal : 0)
        return OperationStatus(
            id: operation.id, kind: "move",
            request: MoveRequest(
                collection: state.collection(operation.shard.collection)?.value.name
                    ?? "\(operation.shard.collection)",
                shard: operation.shard.number, from: operation.source, to: operation.target),
            state: shown, detail: operation.detail, reason: operation.reason,
            bytesDone: progress?.bytesDone ?? (operation.state == .done ? total : 0), bytesTotal: total,
            createdAt: operation.createdAt)
    }
}

import Cluster
package import DataModel

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
                replicas: replicas[node.id] ?? 0, primaries: primaries[node.id] ?? 0,
                zone: node.zone, draining: state.isDraining(node.id))
        }
        let collections = state.collections.values.map(\.value).sorted { $0.name < $1.name }.map { collection in
            ClusterStatus.Collection(
                name: collection.name, id: collection.id, physicalShards: collection.config.physicalShards,
                virtualShards: collection.config.virtualShards,
                replicationFactor: collection.config.replicationFactor,
                health: health(
                    of: state.servingShards(of: collection.id).map(\.value), live: state.liveNodes, statuses: nil))
        }
        return ClusterStatus(
            clusterID: state.cluster?.value.id ?? "", answeredBy: node, nodes: nodes, collections: collections,
            operations: OperationStatus.recent(in: state))
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
            number: shard.id.number, virtualShards: shard.virtualShards, epoch: shard.epoch, replicas: replicas,
            isFilling: shard.filling != nil)
    }
}

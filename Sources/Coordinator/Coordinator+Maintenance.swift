import Cluster
package import DataModel

extension Coordinator {
    package func maintain(
        _ request: MaintenanceRequest, deadline: Deadline
    ) async throws(DatabaseError) -> [MaintenanceReport] {
        let router = router
        let replicas = try choose(request, in: try await freshState())
        return await withTaskGroup(of: MaintenanceReport.self) { group in
            for replica in replicas {
                group.addTask { await replica.maintain(request.task, router: router, deadline: deadline) }
            }
            var reports: [MaintenanceReport] = []
            for await report in group { reports.append(report) }
            return reports.sorted { ($0.collection, $0.shard, $0.node) < ($1.collection, $1.shard, $1.node) }
        }
    }

    private struct ChosenReplica: Sendable {
        var collection: String
        var shard: ShardID
        var node: NodeID

        func maintain(
            _ task: MaintenanceTask, router: any ShardRouter, deadline: Deadline
        ) async -> MaintenanceReport {
            do throws(ShardError) {
                let result = try await router.service(for: shard, on: node).maintain(task, deadline: deadline)
                return MaintenanceReport(
                    collection: collection, shard: shard.number, node: node, summary: result.summary,
                    findings: result.findings)
            } catch {
                return MaintenanceReport(
                    collection: collection, shard: shard.number, node: node, error: error.description)
            }
        }
    }

    /// - Throws: when what is named is not there.
    private func choose(
        _ request: MaintenanceRequest, in state: ClusterState
    ) throws(DatabaseError) -> [ChosenReplica] {
        var collections = state.collections.values.map(\.value).filter { $0.state == .ready }
        if let name = request.collection {
            guard let collection = state.collection(name)?.value else { throw .collectionNotFound(name) }
            collections = [collection]
        }
        if let node = request.node, state.nodes[node] == nil {
            throw .invalid(reason: "node: the cluster has no node \(node)")
        }
        let chosen = collections.flatMap { collection in
            state.servingShards(of: collection.id).map(\.value)
                .filter { request.shard == nil || $0.id.number == request.shard }
                .flatMap { shard in
                    shard.replicas.filter { request.node == nil || $0.node == request.node }
                        .map { ChosenReplica(collection: collection.name, shard: shard.id, node: $0.node) }
                }
        }
        if chosen.isEmpty, let shard = request.shard {
            throw .invalid(
                reason: "shard: \(request.node.map { "node \($0) has no replica of" } ?? "there is no") shard \(shard)")
        }
        return chosen
    }
}

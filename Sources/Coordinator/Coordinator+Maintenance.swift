import Cluster
package import DataModel

extension Coordinator {
    package func maintain(
        _ request: MaintenanceRequest, deadline: Deadline
    ) async throws(DatabaseError) -> [MaintenanceReport] {
        let state = try await freshState()
        guard let collection = state.collection(request.collection)?.value else {
            throw .collectionNotFound(request.collection)
        }
        let shards = state.shards(of: collection.id).map(\.value)
            .filter { request.shard == nil || $0.id.number == request.shard }
        if let shard = request.shard, shards.isEmpty {
            throw .invalid(reason: "shard: collection \(request.collection) has no shard \(shard)")
        }
        let router = router
        return await withTaskGroup(of: MaintenanceReport.self) { group in
            for shard in shards {
                for replica in shard.replicas where request.node == nil || replica.node == request.node {
                    group.addTask {
                        await Self.maintain(shard.id, on: replica.node, request.task, router: router, deadline: deadline)
                    }
                }
            }
            var reports: [MaintenanceReport] = []
            for await report in group { reports.append(report) }
            return reports.sorted { ($0.shard, $0.node) < ($1.shard, $1.node) }
        }
    }

    private static func maintain(
        _ shard: ShardID, on node: NodeID, _ task: MaintenanceTask, router: any ShardRouter, deadline: Deadline
    ) async -> MaintenanceReport {
        do throws(ShardError) {
            let result = try await router.service(for: shard, on: node).maintain(task, deadline: deadline)
            return MaintenanceReport(
                shard: shard.number, node: node, summary: result.summary, findings: result.findings)
        } catch {
            return MaintenanceReport(shard: shard.number, node: node, error: error.description)
        }
    }
}

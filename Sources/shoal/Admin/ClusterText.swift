package import Coordinator
import DataModel

/// The cluster's reports as tables.
package enum ClusterText {
    package static func status(_ status: ClusterStatus) -> String {
        var nodes = TextTable([
            .init("NODE", .right), .init("LEASE"), .init("ROLE"), .init("STATE"), .init("ZONE"),
            .init("REPLICAS", .right), .init("PRIMARIES", .right), .init("HTTP"), .init("RPC"),
        ])
        for node in status.nodes {
            nodes.add([
                "\(node.id)", node.alive ? "held" : "lost", node.isController ? "controller" : "",
                !node.draining ? "" : node.replicas == 0 ? "drained" : "draining", node.zone ?? "-",
                "\(node.replicas)", "\(node.primaries)", node.httpAddress, node.rpcAddress,
            ])
        }
        var text = "cluster \(status.clusterID), answered by node \(status.answeredBy)\n\n" + nodes.render()
        if status.collections.isEmpty { return text + "\nno collections\n" + running(status.operations) }
        var collections = TextTable([
            .init("COLLECTION"), .init("HEALTH"), .init("SHARDS", .right), .init("VIRTUAL", .right),
            .init("REPLICATION", .right),
        ])
        for collection in status.collections {
            collections.add([
                collection.name, collection.health.rawValue, "\(collection.physicalShards)",
                "\(collection.virtualShards)", "\(collection.replicationFactor)",
            ])
        }
        text += "\n" + collections.render()
        return text + running(status.operations)
    }

    private static func running(_ operations: [OperationStatus]) -> String {
        let current = operations.filter { !$0.hasEnded }
        return current.isEmpty ? "" : "\n" + self.operations(current)
    }

    package static func shards(_ tables: [ShardTable]) -> String {
        if tables.isEmpty { return "no collections\n" }
        return tables.map(shards).joined(separator: "\n")
    }

    private static func shards(_ table: ShardTable) -> String {
        var text = TextTable([
            .init("SHARD", .right), .init("VIRTUAL"), .init("EPOCH", .right), .init("NODE", .right), .init("ROLE"),
            .init("STATE"), .init("POINTS", .right), .init("UNINDEXED", .right), .init("DEAD", .right),
            .init("SIZE", .right), .init("SEQUENCE", .right),
        ])
        for shard in table.shards {
            let ranges = shard.virtualShards.map(\.description).joined(separator: ",")
            if shard.replicas.isEmpty {
                text.add(["\(shard.number)", ranges, "\(shard.epoch)", "-", "", "no replica", "-", "-", "-", "-", "-"])
            }
            for (index, replica) in shard.replicas.enumerated() {
                // A shard's own columns once, so that its replicas read as a group.
                let own = index == 0 ? ["\(shard.number)", ranges, "\(shard.epoch)"] : ["", "", ""]
                text.add(
                    own + [
                        "\(replica.node)", replica.isPrimary ? "primary" : "backup",
                        shard.isFilling && replica.state != .damaged ? "filling" : words(replica),
                        replica.points.map(Figures.grouped) ?? "-", replica.unindexedRows.map(Figures.grouped) ?? "-",
                        replica.deadRows.map(Figures.grouped) ?? "-",
                        replica.bytes.map(Figures.bytes) ?? "-", replica.sequence.map { "\($0)" } ?? "-",
                    ])
            }
        }
        return "collection \(table.collection)\n" + text.render() + damage(in: table)
    }

    private static func damage(in table: ShardTable) -> String {
        table.shards.flatMap { shard in
            shard.replicas.compactMap { replica in
                replica.damage.map { "shard \(shard.number) on node \(replica.node): \($0)\n" }
            }
        }.joined()
    }

    package static func maintenance(_ reports: [MaintenanceReport]) -> String {
        if reports.isEmpty { return "no such replica\n" }
        return reports.map { report in
            let lines = [report.error.map { "failed: \($0)" } ?? report.summary] + report.findings.map { "  \($0)" }
            return "\(report.collection), shard \(report.shard) on node \(report.node): " + lines.joined(separator: "\n") + "\n"
        }.joined()
    }

    private static func words(_ replica: ShardTable.Replica) -> String {
        words(replica.state) + (replica.compaction.map { ", compaction \($0)" } ?? "")
    }

    private static func words(_ state: ShardTable.ReplicaState) -> String {
        switch state {
        case .damaged: "damaged"
        case .inSync: "in sync"
        case .catchingUp: "catching up"
        case .unreachable: "unreachable"
        }
    }

    package static func operations(_ operations: [OperationStatus]) -> String {
        if operations.isEmpty { return "no operations\n" }
        var table = TextTable([
            .init("OPERATION"), .init("STATE"), .init("WHAT"), .init("STEPS", .right), .init("DONE", .right),
            .init("TOTAL", .right), .init("DETAIL"), .init("REASON"),
        ])
        for operation in operations {
            table.add([
                operation.id, operation.state.rawValue, operation.title,
                operation.stepsTotal == 0 ? "-" : "\(operation.stepsDone)/\(operation.stepsTotal)",
                Figures.bytes(operation.bytesDone),
                operation.bytesTotal == 0 ? "-" : Figures.bytes(operation.bytesTotal), operation.detail,
                operation.reason,
            ])
        }
        return table.render()
    }

    /// - Parameter nothingToDo: said in place of an empty plan.
    package static func plan(
        _ plan: OperationPlan, nothingToDo: String = "The cluster is balanced; nothing to move."
    ) -> String {
        let loads = plan.loads.isEmpty ? "" : self.loads(plan.loads) + "\n"
        if plan.steps.isEmpty { return loads + nothingToDo + "\n" }
        var steps = TextTable([.init("", .right), .init("STEP"), .init("SIZE", .right), .init("REASON")])
        for (index, step) in plan.steps.enumerated() {
            let nodes =
                switch (step.from, step.to) {
                case (let from?, let to?): "node \(from) -> \(to)"
                case (nil, let to?): "to node \(to)"
                case (let from?, nil): "on node \(from)"
                case (nil, nil): ""
                }
            steps.add([
                "\(index + 1).", "\(step.kind) \(step.collection)/\(step.shard) \(nodes)",
                step.bytes == 0 ? "-" : Figures.bytes(step.bytes), step.reason,
            ])
        }
        return loads + "Plan:\n" + steps.render()
    }

    private static func loads(_ loads: [OperationPlan.NodeLoad]) -> String {
        var table = TextTable([
            .init("NODE", .right), .init("ZONE"), .init("REPLICAS", .right), .init("POINTS", .right),
            .init("SIZE", .right), .init("SEARCHING", .right),
        ])
        for load in loads {
            table.add([
                "\(load.node)", load.zone ?? "-", "\(load.replicas)", Figures.grouped(load.points),
                Figures.bytes(load.bytes), Figures.decimal(Double(load.searchMicroseconds) / 10_000, digits: 1) + " %",
            ])
        }
        return table.render()
    }
}

import Node
import Shard

/// What all replicas of this node keep and do, summed, for `/metrics`.
enum StorageMetrics {
    static func read(_ node: Node) -> [ProcessMetric] {
        let (figures, replicas) = node.storageFigures
        var metrics: [ProcessMetric] = []
        func add(_ name: String, _ kind: ProcessMetric.Kind, _ help: String, _ value: Double) {
            metrics.append(ProcessMetric(name: name, kind: kind, help: help, value: value))
        }
        add("shoal_replicas", .gauge, "Replicas on this node that are open.", Double(replicas.open))
        add("shoal_replicas_damaged", .gauge, "Replicas that serve nothing: their data is damaged.", Double(replicas.damaged))
        let comparisons = node.comparisons.read
        add(
            "shoal_replica_comparisons_total", .counter, "Backups whose points were compared with their primary's here.",
            Double(comparisons.compared))
        add(
            "shoal_replica_divergences_total", .counter, "Those among them that differed, and were filled anew.",
            Double(comparisons.diverged))
        add("shoal_points", .gauge, "Points of all open replicas.", Double(figures.points))
        add("shoal_unindexed_rows", .gauge, "Rows that are in no graph yet and are scanned.", Double(figures.unindexedRows))
        add(
            "shoal_rows_linked_from_primary_total", .counter,
            "Rows that got their links from the primary's graph, which spares the search for them.", Double(figures.adoptedRows))
        add("shoal_dead_rows", .gauge, "Rows that no point has any more.", Double(figures.deadRows))
        add(
            "shoal_payload_index_rows_left", .gauge, "Rows that payload indexes still have to go through.",
            Double(figures.payloadIndexRowsLeft))
        add("shoal_disk_bytes", .gauge, "Bytes of the replicas' files.", Double(figures.diskBytes))
        add("shoal_log_bytes", .gauge, "Bytes of the replicas' logs.", Double(figures.logBytes))
        add("shoal_overlay_bytes", .gauge, "Memory of blocks that no checkpoint has stored yet.", Double(figures.overlayBytes))
        add("shoal_checkpoints_total", .counter, "Checkpoints of graphs.", Double(figures.checkpoints))
        add("shoal_checkpoint_seconds_total", .counter, "Time that checkpoints took.", figures.checkpointSeconds)
        add("shoal_compactions_total", .counter, "Compactions that were completed.", Double(figures.compactions))
        add("shoal_compactions_failed_total", .counter, "Compactions that failed.", Double(figures.failedCompactions))
        add("shoal_compactions_running", .gauge, "Compactions wanted or under way.", Double(figures.runningCompactions))
        return metrics
    }
}

import Cluster
import DataModel
import Logging
import Shard
import Synchronization

extension LocalReplica {
    /// For one digest of a backup.
    private static let digestTimeout: Duration = .seconds(60)
    /// What virtual shards that are being written are given to settle, times the attempt.
    private static let settlingPause: Duration = .milliseconds(20)

    /// Compares this replica, when it is the primary's, with its backups in sync; one that differs is filled anew.
    ///
    /// - Returns: a line for each backup, and what is wrong with any; nil when this replica is not the primary's.
    func compareWithBackups() async -> MaintenanceResult? {
        guard let shell = state.withLock({ $0.shell }), !shell.isOver else { return nil }
        var result = MaintenanceResult(summary: "")
        var lines: [String] = []
        for backup in shell.record.inSync where backup != node {
            do throws(ShardError) {
                let outcome = try await compare(shell, with: backup)
                lines.append(Self.line(for: outcome, of: backup))
                guard !outcome.diverged.isEmpty else { continue }
                let shards = outcome.diverged.sorted().map(\.description).joined(separator: ", ")
                let finding = "node \(backup) has other points than its primary in the virtual shards \(shards); "
                    + "it is filled anew"
                result.findings.append(finding)
                logger.error("\(finding)")
                shell.feed(.backupDiverged(backup))
            } catch {
                lines.append("node \(backup) could not be compared: \(error)")
            }
        }
        result.summary = lines.joined(separator: "; ")
        return result
    }

    private func compare(
        _ shell: PrimaryShell, with backup: NodeID
    ) async throws(ShardError) -> ReplicaComparison.Outcome {
        let service = environment.primary.backup(id, backup)
        let outcome = try await ReplicaComparison(
            mine: { (ranges) throws(ShardError) in try await shell.shard.digest(of: ranges) },
            theirs: { (ranges) throws(ShardError) in
                try await service.digest(of: ranges, context: shell.context(timeout: Self.digestTimeout))
            },
            pause: { try? await Task.sleep(for: Self.settlingPause * $0) }
        ).run(shell.record.virtualShards)
        // Another primary may have written to the backup meanwhile.
        if shell.isOver { throw .notPrimary }
        environment.comparisons.note(diverged: !outcome.diverged.isEmpty)
        return outcome
    }

    private static func line(for outcome: ReplicaComparison.Outcome, of backup: NodeID) -> String {
        let compared = outcome.equal.count + outcome.diverged.count
        let unsettled = outcome.unsettled.isEmpty ? "" : ", \(outcome.unsettled.count) are written too often to tell"
        return "node \(backup) agrees in \(outcome.equal.count) of \(compared) virtual shards, "
            + "\(outcome.points) points\(unsettled)"
    }
}

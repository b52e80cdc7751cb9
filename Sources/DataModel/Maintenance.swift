/// What an operator may ask of one replica.
package enum MaintenanceTask: String, Sendable, Codable, CaseIterable {
    /// Begins to rewrite the replica without its dead rows; its status tells how far that is.
    case compact
    /// Reads all that the replica has on disk and compares it with its checksums; the primary's also compares which points
    /// in which versions the backups have.
    case verify
    /// Puts the replica's files aside and begins to fill it anew from its primary.
    case repair
}

/// What came of it.
package struct MaintenanceResult: Sendable, Equatable {
    /// In words.
    package var summary: String
    /// Everything that is wrong, by name.
    package var findings: [String]

    package init(summary: String, findings: [String] = []) {
        self.summary = summary
        self.findings = findings
    }
}

/// A compaction that is under way.
package struct CompactionProgress: Sendable, Equatable {
    package enum Phase: String, Sendable, CaseIterable {
        /// Behind another shard's: a node compacts one at a time.
        case waiting
        /// Live rows are being copied.
        case copying
        /// The new graphs are being built, while the writes of that time are applied.
        case indexing
        /// The last writes are being applied and the new generation swapped in; writers wait.
        case swapping
    }

    package var phase: Phase
    /// Rows.
    package var done: UInt64
    package var total: UInt64

    package init(phase: Phase, done: UInt64, total: UInt64) {
        self.phase = phase
        self.done = done
        self.total = total
    }
}

extension CompactionProgress: CustomStringConvertible {
    package var description: String { total == 0 ? phase.rawValue : "\(phase.rawValue) \(done * 100 / total)%" }
}

package import DataModel

/// Why a call to a backup failed, as far as patience is concerned.
package enum BackupFailure: Sendable, Equatable {
    /// Connection refused, broken, or timed out while connecting.
    case unreachable(reason: String)
    /// The backup knows a newer epoch than ours.
    case staleEpoch(Epoch)
    /// Any other refusal: still opening, position mismatch, disk full.
    case refused(reason: String)

    package init(_ error: ShardError) {
        self =
            switch error {
            case .unreachable(let reason): .unreachable(reason: reason)
            case .deadlineExceeded: .unreachable(reason: "no answer in time")
            case .staleEpoch(let current): .staleEpoch(current)
            default: .refused(reason: error.description)
            }
    }
}

/// What happens to a primary.
package enum PrimaryEvent: Sendable {
    /// A write that `admitWrite` let in is durable here.
    case localCommitted(LogPosition)
    /// A write that `admitWrite` let in failed here, and is not in the log.
    case localFailed
    /// The answer to `open`. `epochHere` is the epoch in which the backup's last sequence was written in this log:
    /// `shard.epoch(of: state.position.sequence)`.
    case backupOpened(NodeID, BackupState, epochHere: Epoch?)
    /// The answer to `send`.
    case backupAcked(NodeID, BackupState)
    /// `send` found that the log no longer reaches back to what the backup has.
    case logTrimmed(NodeID)
    /// The snapshot is taken at this position: the log has to be kept from there on.
    case snapshotTaken(NodeID, LogPosition)
    /// The backup swapped the snapshot in.
    case snapshotInstalled(NodeID, BackupState)
    /// The backup has other points than this replica, or other versions of them, with the same history.
    case backupDiverged(NodeID)
    /// `open`, `send` or `sendSnapshot` failed.
    case backupFailed(NodeID, BackupFailure)
    /// The shard's record as read or watched, or as written by a compare-and-swap that succeeded; nil when it is gone.
    case recordChanged(Stored<ShardRecord>?)
    /// The compare-and-swap did not succeed, or it is unknown whether it did. After a conflict give the record as read
    /// anew with `recordChanged` first.
    case swapFailed(reason: String)
    /// No node answers by a record of the shard that is older than this revision (`ClusterState.isKnown`), but for
    /// those that are in sync.
    case recordKnown(Revision)
    /// The nodes that hold their lease.
    case liveNodesChanged(Set<NodeID>)
    /// Time passes; about every 50 ms.
    case tick
}

/// What a primary's shell has to do. Each `open`, `send` and `sendSnapshot` is answered with exactly one event of that
/// backup (besides `snapshotTaken`), and no two of them are under way for one backup.
package enum PrimaryAction: Sendable, Equatable {
    case open(NodeID)
    /// Send what the log holds after the position, as much as one batch takes.
    case send(NodeID, after: LogPosition)
    /// Replace all that the backup has by a copy of this replica.
    case sendSnapshot(NodeID)
    case compareAndSwap(expected: Revision, record: ShardRecord)
    /// Read the record anew and give it with `recordChanged`.
    case refreshRecord
    /// All pending writes up to here are on every in-sync replica.
    case acknowledge(through: SequenceNumber)
    /// All pending writes fail. They may have taken effect.
    case rejectPending(ShardError)
    /// This replica is no longer the primary. The state machine is over.
    case stepDown(reason: String)
}

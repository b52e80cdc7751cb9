/// How patient a primary is with its backups.
package struct ReplicationOptions: Sendable {
    /// A backup that is connected but does not answer a batch in this time leaves the in-sync set.
    package var replicationTimeout = Duration.seconds(10)
    /// The same for a backup that answers, but with errors (it is still opening, say).
    package var refusalTimeout = Duration.seconds(3)
    /// The same for a backup that cannot be reached. One whose lease is gone leaves at once.
    package var unreachableTimeout = Duration.seconds(1)
    /// Wait before a failed backup is tried again; doubles up to the maximum.
    package var minimumRetryDelay = Duration.milliseconds(50)
    package var maximumRetryDelay = Duration.milliseconds(500)
    /// The same after a snapshot that the backup refused, from the maximum above on: each try copies the whole shard,
    /// and what speaks against it, such as a full disk, does not pass soon.
    package var maximumSnapshotRetryDelay = Duration.seconds(30)
    /// A replica that lags by more than this many records holds back the trimming of the log no longer; it will get a
    /// snapshot. In-sync replicas always hold it back.
    package var maximumPinnedRecords: UInt64 = 1_000_000

    package init() {}
}

/// A committed write in a shard's log.
package struct LogRecord: Sendable, Equatable {
    package var position: LogPosition
    package var operation: WriteOperation
    /// What the write is called. Of several records that one request became, the last has it.
    package var stamp: RequestStamp?

    package init(position: LogPosition, operation: WriteOperation, stamp: RequestStamp? = nil) {
        self.position = position
        self.operation = operation
        self.stamp = stamp
    }
}

/// One of the files of a snapshot: LMDB's compacted copies of a replica's environments.
package struct SnapshotFile: Sendable, Equatable {
    /// `points` or `index`.
    package var name: String
    package var bytes: UInt64

    package init(name: String, bytes: UInt64) {
        self.name = name
        self.bytes = bytes
    }
}

/// Announces a snapshot to the replica that will be replaced by it.
package struct SnapshotOffer: Sendable, Equatable {
    /// Unique per transfer; a replica that is offered another one drops what it has of the earlier.
    package var transfer: UInt64
    package var position: LogPosition
    package var files: [SnapshotFile]

    package init(transfer: UInt64, position: LogPosition, files: [SnapshotFile]) {
        self.transfer = transfer
        self.position = position
        self.files = files
    }
}

/// A piece of one file of a snapshot. Chunks of a file come in order, without gaps.
package struct SnapshotChunk: Sendable, Equatable {
    package var transfer: UInt64
    package var file: String
    package var offset: UInt64
    package var bytes: [UInt8]

    package init(transfer: UInt64, file: String, offset: UInt64, bytes: [UInt8]) {
        self.transfer = transfer
        self.file = file
        self.offset = offset
        self.bytes = bytes
    }
}

/// What a backup answers to its primary.
package struct BackupState: Sendable, Equatable {
    /// The last write that the backup has committed.
    package var position: LogPosition
    /// Rows that its graph does not hold yet: the primary slows its writers down by the largest of these.
    package var unindexedRows: UInt64

    package init(position: LogPosition, unindexedRows: UInt64) {
        self.position = position
        self.unindexedRows = unindexedRows
    }
}

/// A backup as its primary sees it. Every call carries the primary's epoch, and an older one than the backup knows is
/// refused with `staleEpoch`: so a primary that was replaced cannot change a replica.
package protocol ReplicaService: Sendable {
    /// Where the backup is; the primary then sends it what follows, or a snapshot.
    func openReplica(context: RequestContext) async throws(ShardError) -> BackupState

    /// Appends records that follow `previous`, commits them, and returns. A backup whose position is past `previous`
    /// skips what it has; one whose position is before it, or in another epoch, throws `invalid`.
    func replicate(
        _ records: [LogRecord], after previous: LogPosition, context: RequestContext
    ) async throws(ShardError) -> BackupState

    /// What the backup has of the virtual shards.
    func digest(of ranges: [VirtualShardRange], context: RequestContext) async throws(ShardError) -> ReplicaDigest

    /// Starts a transfer that replaces all that the backup has.
    func beginSnapshot(_ offer: SnapshotOffer, context: RequestContext) async throws(ShardError)

    func receiveSnapshot(_ chunk: SnapshotChunk, context: RequestContext) async throws(ShardError)

    /// Verifies the files against `checksums` (XXH3, 64 bits, by file name), swaps them in and opens the replica.
    func finishSnapshot(
        transfer: UInt64, checksums: [String: UInt64], context: RequestContext
    ) async throws(ShardError) -> BackupState

    /// Links of the replica's graph, for another replica of the shard; nil when rows lie in other slots here. Answered in
    /// any role and epoch: links only spare a search for them.
    func links(_ request: LinkRequest, context: RequestContext) async throws(ShardError) -> LinkPage?

    /// Answers a request of a split or merge, which is for a primary.
    ///
    /// - Throws: `invalid` when the reader has to begin anew: the log does not reach back, or the history is another.
    func fill(_ request: FillRequest, context: RequestContext) async throws(ShardError) -> FillAnswer
}

extension ReplicaService {
    package func fill(_ request: FillRequest, context: RequestContext) async throws(ShardError) -> FillAnswer {
        throw .invalid(reason: "the replica fills no other")
    }

    package func links(_ request: LinkRequest, context: RequestContext) async throws(ShardError) -> LinkPage? { nil }
}

/// What every message to a replica carries beside its body.
package struct RequestContext: Sendable {
    /// The shard's epoch in the sender's shard map; a replica refuses an older one than its own.
    package var epoch: Epoch
    package var deadline: Deadline
    /// Whether a replica that is not in sync may answer a read too, or one whose node holds no lease.
    package var isStaleAllowed: Bool

    package init(epoch: Epoch, deadline: Deadline, isStaleAllowed: Bool = false) {
        self.epoch = epoch
        self.deadline = deadline
        self.isStaleAllowed = isStaleAllowed
    }
}

/// One replica of a physical shard as the coordinator sees it: on this node, over RPC, or simulated.
///
/// The context's deadline bounds each call: past it the call throws `deadlineExceeded`. Cancelling the task ends the wait.
package protocol ShardService: Sendable {
    /// Answers each of `searches`, in order; results come best first.
    func search(_ searches: [SearchRequest], context: RequestContext) async throws(ShardError) -> [SearchAnswer]

    /// The points that exist among the ids, in the order of the ids.
    func retrieve(_ request: RetrieveRequest, context: RequestContext) async throws(ShardError) -> [Record]

    /// Points in ascending order of ids.
    func scroll(_ request: ScrollRequest, context: RequestContext) async throws(ShardError) -> [Record]

    /// The exact number of points; with a filter, of those that pass.
    func count(_ filter: Filter?, context: RequestContext) async throws(ShardError) -> UInt64

    /// Orders the write, commits it on every in-sync replica, and returns. One that was done before under its name is
    /// answered again as it was then.
    ///
    /// - Throws: `versionConflict` or `requestNameReused` by a state that every in-sync replica has.
    func write(_ request: WriteRequest, context: RequestContext) async throws(ShardError) -> WriteReceipt

    /// Does not need the replica to be in sync.
    func status(deadline: Deadline) async throws(ShardError) -> ReplicaStatus

    /// Does, or begins, what an operator asks of this very replica, which need not be in sync.
    func maintain(_ task: MaintenanceTask, deadline: Deadline) async throws(ShardError) -> MaintenanceResult

    /// Makes a hot copy of the replica's files, to be read in pieces. It is dropped when nobody has read for a while.
    func takeSnapshot(context: RequestContext) async throws(ShardError) -> SnapshotCopy

    /// A piece of a copy that this replica made: `count` bytes, fewer at the end of the file.
    func readSnapshot(_ piece: SnapshotPiece, deadline: Deadline) async throws(ShardError) -> [UInt8]

    /// The copy is not needed any more.
    func dropSnapshot(_ transfer: UInt64, deadline: Deadline) async throws(ShardError)
}

extension ShardService {
    package func maintain(_ task: MaintenanceTask, deadline: Deadline) async throws(ShardError) -> MaintenanceResult {
        throw .invalid(reason: "the replica cannot be maintained from here")
    }

    package func takeSnapshot(context: RequestContext) async throws(ShardError) -> SnapshotCopy {
        throw .invalid(reason: "the replica cannot be copied from here")
    }

    package func readSnapshot(_ piece: SnapshotPiece, deadline: Deadline) async throws(ShardError) -> [UInt8] {
        throw .invalid(reason: "the replica cannot be copied from here")
    }

    package func dropSnapshot(_ transfer: UInt64, deadline: Deadline) async throws(ShardError) {
        throw .invalid(reason: "the replica cannot be copied from here")
    }
}

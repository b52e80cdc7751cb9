import Cluster
import DataModel
import Shard
import Synchronization

/// A primary whose shard is about to be replaced by others.
extension PrimaryShell {
    /// How often a hold looks whether the last writes have ended.
    private static let drainPoll: Duration = .milliseconds(1)

    /// Where a new shard may begin to follow the log, which is kept from there on: everything before is on all in-sync
    /// replicas, so that no failover takes it back.
    func beginReading(_ reader: ShardNumber) throws(ShardError) -> LogPosition {
        let acknowledged = acknowledged
        guard acknowledged > .zero || shard.position == .start else {
            throw .notServing(reason: "the primary has not heard of its backups yet")
        }
        guard acknowledged > .zero else {
            keepLog(after: .zero, for: reader)
            return .start
        }
        guard let epoch = shard.epoch(of: acknowledged) else {
            throw .notServing(reason: "the primary does not know the epoch of its last write")
        }
        keepLog(after: acknowledged, for: reader)
        return LogPosition(sequence: acknowledged, epoch: epoch)
    }

    var acknowledged: SequenceNumber { state.withLock { $0.session.state.acknowledged } }

    func keepLog(after sequence: SequenceNumber, for reader: ShardNumber) {
        state.withLock { apply($0.session.setFloor(sequence, ofReader: reader, now: now)) }
    }

    func keepLog(for reader: ShardNumber) {
        state.withLock { $0.session.keepFloor(ofReader: reader, now: now) }
    }

    /// Lets no write in for some time, and waits for those that are under way.
    ///
    /// - Returns: the last write, which all in-sync replicas have, and the revision of the record: as long as the record is
    ///   at it, nothing is written.
    func hold(for time: Duration) async throws(ShardError) -> (LogPosition, Revision) {
        let end = now + time
        guard let revision = state.withLock({ $0.session.holdWrites(until: end) }) else {
            throw .notServing(reason: "the shard's record is being changed")
        }
        while true {
            let (isHeld, isDrained) = state.withLock { state in
                (
                    !state.session.isOver && state.session.record.revision == revision
                        && state.session.state.heldUntil == end, state.session.state.isDrained
                )
            }
            guard isHeld, now < end else { throw .notServing(reason: "writes could not be held long enough") }
            if isDrained { return (shard.position, revision) }
            guard (try? await Task.sleep(for: Self.drainPoll)) != nil else { throw .deadlineExceeded }
        }
    }

    func release() { change { $0.releaseWrites(now: self.now) } }
}

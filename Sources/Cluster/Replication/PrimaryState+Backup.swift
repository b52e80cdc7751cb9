import DataModel

extension PrimaryState {
    /// What the primary knows of one of its backups.
    struct Backup: Sendable {
        enum Phase: Sendable, Equatable {
            /// Nothing is under way; to be opened when the time has come and the node is alive.
            case closed(retryAt: Duration)
            case opening
            /// Open; has everything up to `acked`.
            case idle
            case sending
            /// Its history differs from ours, or the log does not reach back to it.
            case awaitingSnapshot
            /// The log is kept from `from` on, as soon as the copy is made.
            case sendingSnapshot(from: SequenceNumber?)

            var isSendingSnapshot: Bool {
                if case .sendingSnapshot = self { true } else { false }
            }
        }

        var phase: Phase
        /// The last write that it is known to have. Nil when unknown, or when its history is not ours.
        var acked: LogPosition?
        var unindexedRows: UInt64 = 0
        /// When the call that is under way began. A snapshot has no such limit.
        var busySince: Duration?
        /// When the first of the failures since the last success happened.
        var failingSince: Duration?
        var failure: BackupFailure?
        var retryDelay: Duration?
        /// The wait after the last snapshot that was refused. That the backup can be opened says nothing about the next
        /// one.
        var snapshotRetryDelay: Duration?
        /// The last write that was committed when `send` was decided on.
        var sendingGoal: SequenceNumber = .zero
        /// Set when a replica that catches up joined the acknowledging set: the last write committed at that moment.
        var joinPoint: SequenceNumber?
        /// It came back with less than it had acknowledged.
        var lostData = false
        /// It has other points than its history says: only a snapshot makes it whole.
        var hasDiverged = false
        /// Its process ended, or was thought to: what the next one has is to be asked before anybody counts on it, as
        /// its disk may be another one.
        var mustReopen = false

        /// Whether a snapshot is needed whatever it says of itself, and no call to it is under way.
        func mustBeReplaced(now: Duration) -> Bool {
            switch phase {
            case .idle: hasDiverged
            case .closed(let retryAt): hasDiverged && now >= retryAt
            case .opening, .sending, .awaitingSnapshot, .sendingSnapshot: false
            }
        }

        init(retryAt: Duration) { phase = .closed(retryAt: retryAt) }

        mutating func begin(_ phase: Phase, now: Duration) {
            self.phase = phase
            busySince = phase.isSendingSnapshot ? nil : now
            if phase == .opening { mustReopen = false }
        }

        mutating func succeed(_ state: BackupState, now: Duration) {
            phase = mustReopen ? .closed(retryAt: now) : .idle
            acked = state.position
            unindexedRows = state.unindexedRows
            busySince = nil
            failingSince = nil
            failure = nil
            retryDelay = nil
        }

        mutating func join(at sequence: SequenceNumber) {
            if joinPoint == nil && !mustReopen && !hasDiverged { joinPoint = sequence }
        }

        /// Another process runs on the node, or none.
        mutating func restart(now: Duration) {
            mustReopen = true
            joinPoint = nil
            snapshotRetryDelay = nil
            switch phase {
            case .idle, .closed: phase = .closed(retryAt: now)
            case .opening, .sending, .awaitingSnapshot, .sendingSnapshot: break
            }
        }

        mutating func needSnapshot() {
            phase = .awaitingSnapshot
            acked = nil
            joinPoint = nil
            busySince = nil
        }

        mutating func fail(_ failure: BackupFailure, now: Duration, options: ReplicationOptions) {
            var delay = min(retryDelay.map { $0 * 2 } ?? options.minimumRetryDelay, options.maximumRetryDelay)
            retryDelay = delay
            if phase.isSendingSnapshot, case .refused = failure {
                let former = snapshotRetryDelay
                delay = min(former.map { $0 * 2 } ?? options.maximumRetryDelay, options.maximumSnapshotRetryDelay)
                snapshotRetryDelay = delay
            }
            failingSince = failingSince ?? busySince ?? now
            self.failure = failure
            phase = .closed(retryAt: now + delay)
            busySince = nil
            joinPoint = nil
        }

        mutating func retryAtOnce(now: Duration) {
            if case .closed = phase { phase = .closed(retryAt: now) }
        }
    }
}

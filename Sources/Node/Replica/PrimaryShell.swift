import Cluster
import DataModel
import Logging
import Shard
import Synchronization

/// What a shell needs of its node.
struct PrimaryEnvironment: Sendable {
    let node: NodeID
    let cache: ClusterStateCache
    let options: ReplicationOptions
    /// A backup's write of this many unindexed rows holds up the writers.
    let maximumBackupUnindexedRows: UInt64
    let transfers: DataFolder
    /// The most that a snapshot for a backup sends, unless its operation says otherwise; nil for no limit.
    let maximumTransferBytesPerSecond: UInt64?
    let logger: Logger
    /// The backup of the shard on a node.
    let backup: @Sendable (ShardID, NodeID) -> any ReplicaService
    /// The replica of any shard on any node, this one too.
    let replica: @Sendable (ShardID, NodeID) -> any ReplicaService
}

/// Carries out what `PrimarySession` decides for a shard whose primary is on this node.
///
/// The state machine and the writers that wait lie under one lock; its actions are performed outside of it, each as a
/// task that ends with an event. A lost race between two actions is harmless: acknowledgements only grow, and each
/// backup has one call under way at a time.
final class PrimaryShell: Sendable {
    typealias Waiter = CheckedContinuation<Result<Void, ShardError>, Never>

    struct State {
        var session: PrimarySession
        /// The writers that wait, by the session's keys.
        var waiters: [UInt64: Waiter] = [:]
        var nextKey: UInt64 = 0
    }

    /// The replica's `ReplicaFence`: each change asks it first, and tells it when it ended.
    struct Fence: Sendable {
        let begin: @Sendable (Epoch) -> ShardError?
        let end: @Sendable (Epoch) -> Void
    }

    /// Bytes of log records in one message to a backup.
    static let batchBytes = 8 << 20
    private static let roomPoll: Duration = .milliseconds(5)
    private static let holdPoll: Duration = .milliseconds(2)

    let id: ShardID
    let shard: Shard
    let environment: PrimaryEnvironment
    private let fence: Fence
    let state: Mutex<State>
    private let start = ContinuousClock.now

    init(
        record: Stored<ShardRecord>, shard: Shard, fence: Fence, writeConsistencyFactor: Int,
        cluster: ClusterState, environment: PrimaryEnvironment
    ) {
        id = record.value.id
        self.shard = shard
        self.fence = fence
        self.environment = environment
        state = Mutex(
            State(
                session: PrimarySession(
                    node: environment.node, record: record, position: shard.position,
                    writeConsistencyFactor: writeConsistencyFactor, cluster: cluster, options: environment.options,
                    answersAreChecked: environment.cache.store.latestRevisionIsCheap)))
    }

    /// Begins to open the backups.
    func begin() { change { $0.start(now: self.now) } }

    var now: Duration { ContinuousClock.now - start }

    var isOver: Bool { state.withLock { $0.session.isOver } }
    var record: ShardRecord { state.withLock { $0.session.record.value } }
    /// Whether writes wait until every node knows the record.
    var awaitsKnowledge: Bool { state.withLock { $0.session.state.unsettled != nil } }
    var isIdle: Bool { state.withLock { $0.session.isIdle } }

    // MARK: - Writing

    /// Writes what another shard's log has, without regard to rows that wait to be indexed: it is what holds writers of that
    /// shard up.
    func adopt(_ operation: WriteOperation, deadline: Deadline) async throws(ShardError) {
        let outcome = try await append(WriteRequest(operation), deadline: deadline)
        try await wait(deadline) { $0.committed(outcome.position, key: $1, deadline: $2, now: self.now) }
        _ = try outcome.result.get()
    }

    /// Orders the write, commits it here and on every in-sync backup. What a refusal saw, or a write that was done
    /// before rests on, is on every in-sync backup too.
    func write(
        _ request: WriteRequest, deadline: Deadline
    ) async throws(ShardError) -> Result<SequenceNumber, ShardError> {
        try await waitForRoom(deadline: deadline)
        let outcome = try await append(request, deadline: deadline)
        try await wait(deadline) { $0.committed(outcome.position, key: $1, deadline: $2, now: self.now) }
        return outcome.result
    }

    /// Returns when everything that is committed here now is acknowledged.
    func settle(deadline: Deadline) async throws(ShardError) {
        let position = shard.position
        try await wait(deadline) { $0.awaitAcknowledgement(of: position, key: $1, deadline: $2) }
    }

    private func waitForRoom(deadline: Deadline) async throws(ShardError) {
        try await shard.waitForRoom(deadline: deadline)
        while state.withLock({ $0.session.state.largestUnindexedRows }) > environment.maximumBackupUnindexedRows {
            guard !deadline.isPast, (try? await Task.sleep(for: Self.roomPoll)) != nil else {
                throw .overloaded(reason: "a backup cannot index as fast as writes come in")
            }
        }
    }

    private func append(_ request: WriteRequest, deadline: Deadline) async throws(ShardError) -> WriteOutcome {
        while true {
            let epoch = try await admitWrite(deadline: deadline)
            do throws(ShardError) {
                if let refusal = fence.begin(epoch) { throw refusal }
                defer { fence.end(epoch) }
                return try await shard.write(request, epoch: epoch, deadline: deadline)
            } catch {
                feed(.localFailed)
                // The epoch was raised between the two steps, and a later write came first: take the new one.
                guard case .staleEpoch(let current) = error, !isOver, !deadline.isPast else { throw error }
                // Another primary was heard from, and we shall hear of it.
                if current > record.epoch { throw .notPrimary }
            }
        }
    }

    /// The epoch of a write that may begin. A hold ends in a moment: nobody needs to come back for that.
    private func admitWrite(deadline: Deadline) async throws(ShardError) -> Epoch {
        while true {
            do throws(ShardError) {
                return try state.withLock { (state) throws(ShardError) in try state.session.admitWrite() }
            } catch {
                guard state.withLock({ $0.session.state.heldUntil != nil && !$0.session.isOver }), !deadline.isPast,
                    (try? await Task.sleep(for: Self.holdPoll)) != nil
                else { throw error }
                // Where it is cheap to know, nobody waits for the news that the shard was replaced.
                if environment.cache.store.latestRevisionIsCheap { _ = try? await environment.cache.refreshIfStale() }
                if environment.cache.current.shard(id) == nil { throw .notHosted(id) }
            }
        }
    }

    /// Waits until the session settles the key that `begin` is given, with the deadline on its clock.
    private func wait(
        _ deadline: Deadline, _ begin: (inout PrimarySession, UInt64, Duration) -> PrimarySession.Outcome
    ) async throws(ShardError) {
        let key = state.withLock { state in
            state.nextKey += 1
            return state.nextKey
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                state.withLock { $0.waiters[key] = waiter }
                change { begin(&$0, key, deadline.instant - self.start) }
                if Task.isCancelled { abandon(key) }
            }
        } onCancel: {
            abandon(key)
        }
        try result.get()
    }

    private func abandon(_ key: UInt64) {
        let waiter = state.withLock { state in
            state.session.forget(key)
            return state.waiters.removeValue(forKey: key)
        }
        waiter?.resume(returning: .failure(.deadlineExceeded))
    }

    // MARK: - Events

    func follow(_ current: ClusterState) { change { $0.follow(current, now: self.now) } }

    /// To be called about every 50 ms.
    func tick() {
        if state.withLock({ $0.session.isQuiet }) { return }
        feed(.tick)
    }

    /// Fails the writes that wait; the shell is not used any more.
    func end() { change { $0.end() } }

    func feed(_ event: PrimaryEvent) { change { $0.handle(event, now: self.now) } }

    func change(_ body: (inout PrimarySession) -> PrimarySession.Outcome) {
        let (outcome, settled) = state.withLock { state in
            let outcome = body(&state.session)
            apply(outcome.retention)
            return (outcome, outcome.settled.map { ($0, state.waiters.removeValue(forKey: $0.key)) })
        }
        for (write, waiter) in settled {
            waiter?.resume(returning: write.error.map { .failure($0) } ?? .success(()))
        }
        for action in outcome.actions { perform(action, swapGuards: outcome.swapGuards) }
    }

    /// Under the lock, so that the shard is told of changes in their order.
    func apply(_ retention: PrimarySession.Retention) {
        if case .changed(let sequence) = retention { shard.setLogRetention(after: sequence) }
    }

    func setCopyFloor(_ sequence: SequenceNumber?, for node: NodeID) {
        state.withLock { apply($0.session.setCopyFloor(sequence, for: node)) }
    }
}

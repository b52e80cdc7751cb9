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
    let logger: Logger
    /// The backup of the shard on a node.
    let backup: @Sendable (ShardID, NodeID) -> any ReplicaService
}

/// Carries out what `PrimaryState` decides for a shard whose primary is on this node.
///
/// The state machine and the writers that wait lie under one lock; its actions are performed outside of it, each as a
/// task that ends with an event. A lost race between two actions is harmless: acknowledgements only grow, and each
/// backup has one call under way at a time.
final class PrimaryShell: Sendable {
    private struct State {
        var machine: PrimaryState
        var pending = PendingWrites()
        var nextKey: UInt64 = 0
        /// The log is kept from here on while a snapshot for the node is being copied.
        var copyFloors: [NodeID: SequenceNumber] = [:]
        /// What the shard was last told to keep, to tell it only of changes.
        var retention: SequenceNumber?
        var rejection: ShardError?
    }

    /// Bytes of log records in one message to a backup.
    static let batchBytes = 8 << 20
    private static let roomPoll: Duration = .milliseconds(5)

    let id: ShardID
    let shard: Shard
    let environment: PrimaryEnvironment
    private let state: Mutex<State>
    private let start = ContinuousClock.now

    init(
        record: Stored<ShardRecord>, shard: Shard, writeConsistencyFactor: Int, liveNodes: Set<NodeID>,
        environment: PrimaryEnvironment
    ) {
        id = record.value.id
        self.shard = shard
        self.environment = environment
        state = Mutex(
            State(
                machine: PrimaryState(
                    node: environment.node, record: record, position: shard.position,
                    writeConsistencyFactor: writeConsistencyFactor, liveNodes: liveNodes,
                    options: environment.options,
                    answersAreChecked: environment.cache.store.latestRevisionIsCheap)))
    }

    /// Begins to open the backups.
    func begin() { change { $0.machine.start(now: self.now) } }

    private var now: Duration { ContinuousClock.now - start }

    var isOver: Bool { state.withLock { $0.machine.isOver } }
    var record: ShardRecord { state.withLock { $0.machine.record.value } }
    /// Whether writes wait until every node knows the record.
    var awaitsKnowledge: Bool { state.withLock { $0.machine.unsettled != nil } }
    var isIdle: Bool { state.withLock { $0.pending.isEmpty } }

    // MARK: - Writing

    /// Orders the write, commits it here and on every in-sync backup.
    func write(_ operation: WriteOperation, deadline: Deadline) async throws(ShardError) -> WriteReceipt {
        try await waitForRoom(deadline: deadline)
        let record = try await append(operation, deadline: deadline)
        try await waitForBackups(record.position, deadline: deadline)
        return WriteReceipt(sequence: record.position.sequence)
    }

    private func waitForRoom(deadline: Deadline) async throws(ShardError) {
        try await shard.waitForRoom(deadline: deadline)
        while state.withLock({ $0.machine.largestUnindexedRows }) > environment.maximumBackupUnindexedRows {
            guard !deadline.isPast, (try? await Task.sleep(for: Self.roomPoll)) != nil else {
                throw .overloaded(reason: "a backup cannot index as fast as writes come in")
            }
        }
    }

    private func append(_ operation: WriteOperation, deadline: Deadline) async throws(ShardError) -> LogRecord {
        while true {
            let epoch: Epoch = try state.withLock { (state) throws(ShardError) in
                if let refusal = state.machine.admitWrite() { throw refusal }
                return state.machine.record.value.epoch
            }
            do throws(ShardError) {
                return try await shard.append(operation, epoch: epoch, deadline: deadline)
            } catch {
                feed(.localFailed)
                // The epoch was raised between the two steps, and a later write came first: take the new one.
                guard case .staleEpoch = error, !isOver, !deadline.isPast else { throw error }
            }
        }
    }

    private func waitForBackups(_ position: LogPosition, deadline: Deadline) async throws(ShardError) {
        let key = state.withLock { state in
            state.nextKey += 1
            return state.nextKey
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: PendingWrites.Waiter) in
                let isWaiting = state.withLock { state in
                    state.pending.add(position.sequence, deadline: deadline, key: key, waiter: waiter)
                }
                if !isWaiting { waiter.resume(returning: .success(())) }
                feed(.localCommitted(position))
                if isWaiting { failIfOver(key) }
            }
        } onCancel: {
            state.withLock { $0.pending.remove(key: key) }?.resume(returning: .failure(.deadlineExceeded))
        }
        try result.get()
    }

    /// A write that began to wait after the state machine ended would wait in vain.
    private func failIfOver(_ key: UInt64) {
        let waiter = state.withLock { $0.machine.isOver || Task.isCancelled ? $0.pending.remove(key: key) : nil }
        waiter?.resume(returning: .failure(Task.isCancelled ? .deadlineExceeded : .notPrimary))
    }

    // MARK: - Events

    func recordChanged(_ record: Stored<ShardRecord>?) { feed(.recordChanged(record)) }

    func liveNodesChanged(_ nodes: Set<NodeID>) { feed(.liveNodesChanged(nodes)) }

    /// Looks whether every node knows the record that writes wait for.
    func settle(by current: ClusterState) {
        let known: Revision? = state.withLock { state in
            guard let awaited = state.machine.unsettled, current.revision >= awaited,
                current.isKnown(awaited, exempt: state.machine.record.value.inSync)
            else { return nil }
            return awaited
        }
        if let known { feed(.recordKnown(known)) }
    }

    /// To be called about every 50 ms.
    func tick() {
        if state.withLock({ $0.pending.isEmpty && $0.machine.isQuiet }) { return }
        let overdue = state.withLock { $0.pending.removeOverdue() }
        for waiter in overdue { waiter.resume(returning: .failure(.deadlineExceeded)) }
        feed(.tick)
    }

    /// Fails the writes that wait; the shell is not used any more.
    func end() {
        let waiters = state.withLock { $0.pending.removeAll() }
        for waiter in waiters { waiter.resume(returning: .failure(.notPrimary)) }
        shard.setLogRetention(after: nil)
    }

    func feed(_ event: PrimaryEvent) { change { $0.machine.handle(event, now: self.now) } }

    private func change(_ body: (inout State) -> [PrimaryAction]) {
        var settled: [(PendingWrites.Waiter, Result<Void, ShardError>)] = []
        let actions = state.withLock { state in
            let actions = body(&state)
            for action in actions {
                switch action {
                case .acknowledge(let sequence):
                    settled += state.pending.acknowledge(through: sequence).map { ($0, .success(())) }
                case .rejectPending(let error):
                    settled += state.pending.removeAll().map { ($0, .failure(error)) }
                case .stepDown:
                    settled += state.pending.removeAll().map { ($0, .failure(.notPrimary)) }
                case .open, .send, .sendSnapshot, .compareAndSwap, .refreshRecord: break
                }
            }
            updateRetention(&state)
            return actions
        }
        for (waiter, result) in settled { waiter.resume(returning: result) }
        for action in actions { perform(action) }
    }

    private func updateRetention(_ state: inout State) {
        let floors = state.copyFloors.values + [state.machine.retentionFloor].compactMap { $0 }
        let retention = state.machine.isOver ? nil : floors.min()
        guard retention != state.retention else { return }
        state.retention = retention
        shard.setLogRetention(after: retention)
    }

    func setCopyFloor(_ sequence: SequenceNumber?, for node: NodeID) {
        state.withLock { state in
            state.copyFloors[node] = sequence
            updateRetention(&state)
        }
    }
}

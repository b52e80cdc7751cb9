package import DataModel

/// A primary from the moment it takes its role on: its state machine, the writes that wait for it, and what the log has
/// to keep. Pure: a shell performs the actions and answers the writers. Times count from any fixed moment.
package struct PrimarySession: Sendable {
    /// A write that waits no longer.
    package struct Settled: Sendable, Equatable {
        package let key: UInt64
        /// Nil: every in-sync replica has it.
        package let error: ShardError?
    }

    package enum Retention: Sendable, Equatable {
        case unchanged
        /// The log keeps everything after the sequence; nil: nobody needs it.
        case changed(SequenceNumber?)
    }

    package struct Outcome: Sendable {
        /// In order. `acknowledge` and `rejectPending` are dealt with already, in `settled`.
        package var actions: [PrimaryAction] = []
        /// What a compare-and-swap among the actions rests on besides the record's revision: that our process, and those of
        /// the replicas that it takes into the in-sync set, still are those that we heard. A swap may arrive late, and a
        /// process that was started anew meanwhile may have another disk.
        package var swapGuards: [ControlGuard] = []
        package var settled: [Settled] = []
        package var retention = Retention.unchanged

        static func += (sum: inout Outcome, next: Outcome) {
            sum.actions += next.actions
            sum.swapGuards += next.swapGuards
            sum.settled += next.settled
            if case .changed = next.retention { sum.retention = next.retention }
        }
    }

    private var machine: PrimaryState
    private var isEnded = false
    /// The processes that hold their nodes' leases, by the revisions at which they took them.
    private var live: [NodeID: Revision]
    private var pending = PendingWrites()
    /// The log is kept from here on while a snapshot for the node is being copied.
    private var copyFloors: [NodeID: SequenceNumber] = [:]
    /// ... and from here on while a new shard follows it, which says so again and again.
    private var readers: [ShardNumber: (floor: SequenceNumber, until: Duration)] = [:]
    /// What the log was last told to keep, to tell it only of changes.
    private var retention: SequenceNumber?

    /// - Parameter cluster: the state that the record is of, or a newer one.
    package init(
        node: NodeID, record: Stored<ShardRecord>, position: LogPosition, writeConsistencyFactor: Int,
        cluster: ClusterState, options: ReplicationOptions, answersAreChecked: Bool
    ) {
        machine = PrimaryState(
            node: node, record: record, position: position, writeConsistencyFactor: writeConsistencyFactor,
            liveNodes: cluster.liveNodes, options: options, answersAreChecked: answersAreChecked)
        live = cluster.live.mapValues(\.revision)
    }

    package var isOver: Bool { isEnded || machine.isOver }
    package var isIdle: Bool { pending.isEmpty }
    /// Whether nothing comes of the passing of time.
    package var isQuiet: Bool { pending.isEmpty && readers.isEmpty && machine.isQuiet }
    package var record: Stored<ShardRecord> { machine.record }
    package var state: PrimaryState { machine }

    // MARK: - Events

    /// The first actions. Call it once, and `follow` then.
    package mutating func start(now: Duration) -> Outcome { settle(machine.start(now: now)) }

    package mutating func handle(_ event: PrimaryEvent, now: Duration) -> Outcome {
        // Whoever has the role by now knows better than answers to this session's calls.
        if isEnded { return Outcome() }
        if case .tick = event { readers = readers.filter { $0.value.until > now } }
        var outcome = settle(machine.handle(event, now: now))
        if case .tick = event {
            outcome.settled += pending.removeOverdue(now: now).map { Settled(key: $0, error: .deadlineExceeded) }
        }
        return outcome
    }

    /// Takes in a newer state of the cluster.
    package mutating func follow(_ cluster: ClusterState, now: Duration) -> Outcome {
        if isEnded { return Outcome() }
        let present = cluster.live.mapValues(\.revision)
        let restarted = live.filter { node, former in present[node].map { $0 != former } ?? false }
        live = present
        var actions = machine.follow(
            cluster.shard(record.value.id), liveNodes: cluster.liveNodes, restarted: Set(restarted.keys), now: now)
        actions += noteKnowledge(cluster, now: now)
        return settle(actions)
    }

    /// Looks whether every node knows the record that writes wait for.
    private mutating func noteKnowledge(_ cluster: ClusterState, now: Duration) -> [PrimaryAction] {
        guard let awaited = machine.unsettled, cluster.revision >= awaited,
            cluster.isKnown(awaited, exempt: machine.record.value.inSync)
        else { return [] }
        return machine.handle(.recordKnown(awaited), now: now)
    }

    // MARK: - Writes

    /// The epoch in which a write may be appended to the log. Exactly one of `committed` and the event `localFailed` must
    /// follow.
    ///
    /// - Throws: why it may not.
    package mutating func admitWrite() throws(ShardError) -> Epoch {
        if isEnded { throw .notPrimary }
        if let refusal = machine.admitWrite() { throw refusal }
        return machine.record.value.epoch
    }

    /// A write that was admitted is durable here; the outcome that settles `key` is this one or a later one.
    package mutating func committed(
        _ position: LogPosition, key: UInt64, deadline: Duration, now: Duration
    ) -> Outcome {
        var outcome = awaitAcknowledgement(of: position, key: key, deadline: deadline)
        outcome += handle(.localCommitted(position), now: now)
        return outcome
    }

    /// Settles `key`, now or later, when all that is committed here up to the position is acknowledged.
    package mutating func awaitAcknowledgement(of position: LogPosition, key: UInt64, deadline: Duration) -> Outcome {
        var outcome = Outcome()
        if isOver {
            outcome.settled.append(Settled(key: key, error: .notPrimary))
        } else if position.sequence <= machine.acknowledged {
            // Nothing more happens to it, so it must not wait for a writer that comes after it.
            outcome.settled.append(Settled(key: key, error: machine.refusalOfAcknowledgement))
        } else {
            pending.add(position.sequence, deadline: deadline, key: key)
        }
        return outcome
    }

    /// The writer waits no longer; its write may still take effect.
    package mutating func forget(_ key: UInt64) { pending.remove(key: key) }

    /// The role ends here, whatever the record says: the writes that wait fail, and the log need not be kept.
    package mutating func end() -> Outcome {
        isEnded = true
        retention = nil
        return Outcome(
            settled: pending.removeAll().map { Settled(key: $0, error: .notPrimary) }, retention: .changed(nil))
    }

    // MARK: - The log

    /// Keeps the log after a sequence as long as a copy for the node is being made; nil ends that.
    package mutating func setCopyFloor(_ sequence: SequenceNumber?, for node: NodeID) -> Retention {
        copyFloors[node] = sequence
        return updateRetention()
    }

    /// A reader that is not heard of for this long does not come back.
    private static let readerPatience: Duration = .seconds(60)

    /// Keeps the log after a sequence for a shard that follows it.
    package mutating func setFloor(_ sequence: SequenceNumber, ofReader reader: ShardNumber, now: Duration) -> Retention {
        if isEnded { return .unchanged }
        readers[reader] = (sequence, now + Self.readerPatience)
        return updateRetention()
    }

    /// The reader is heard of.
    package mutating func keepFloor(ofReader reader: ShardNumber, now: Duration) {
        readers[reader]?.until = now + Self.readerPatience
    }

    // MARK: - Holding writes

    package mutating func holdWrites(until time: Duration) -> Revision? {
        isEnded ? nil : machine.holdWrites(until: time)
    }

    package mutating func releaseWrites(now: Duration) -> Outcome {
        isEnded ? Outcome() : settle(machine.releaseWrites(now: now))
    }

    private mutating func settle(_ actions: [PrimaryAction]) -> Outcome {
        var outcome = Outcome(actions: actions)
        for action in actions {
            switch action {
            case .acknowledge(let sequence):
                outcome.settled += pending.acknowledge(through: sequence).map { Settled(key: $0, error: nil) }
            case .rejectPending(let error):
                outcome.settled += pending.removeAll().map { Settled(key: $0, error: error) }
            case .stepDown:
                outcome.settled += pending.removeAll().map { Settled(key: $0, error: .notPrimary) }
            case .compareAndSwap(_, let record): outcome.swapGuards = swapGuards(of: record)
            case .open, .send, .sendSnapshot, .refreshRecord: break
            }
        }
        outcome.retention = updateRetention()
        return outcome
    }

    private func swapGuards(of record: ShardRecord) -> [ControlGuard] {
        let promoted = record.inSync.filter { !machine.record.value.isInSync($0) }
        return ([machine.node] + promoted).map { ControlGuard(key: ControlKey.live($0), expected: live[$0]) }
    }

    private mutating func updateRetention() -> Retention {
        let floors = copyFloors.values + readers.values.map(\.floor) + [machine.retentionFloor].compactMap { $0 }
        let wanted = isOver ? nil : floors.min()
        guard wanted != retention else { return .unchanged }
        retention = wanted
        return .changed(wanted)
    }
}

package import DataModel

/// What the primary of one shard knows and decides: which writes are acknowledged, what each backup is sent, who is in
/// the in-sync set (PacificA: Lin et al., 2008, sections 3 and 4). Pure: events in, actions out.
///
/// - A write is acknowledged when it is durable here and on every replica of the *acknowledging set*: the in-sync
///   backups, those that are about to be, and those that may be in sync although we do not know it yet.
/// - A backup leaves the set only after the control store says that it is no longer in sync.
/// - Where replicas answer by records that may be old (`answersAreChecked` is false), one that left the in-sync set may
///   go on answering until it knows. So after a change that may have removed one, nothing is acknowledged until all
///   know.
/// - A replica that catches up joins the set first. When it has all that was committed at that moment, it holds every
///   write that was ever acknowledged, and is written down as in sync.
package struct PrimaryState: Sendable {
    package let node: NodeID
    package private(set) var record: Stored<ShardRecord>
    /// The last write that is durable here.
    package private(set) var committed: LogPosition
    /// Writes up to here are on the whole acknowledging set. Never falls.
    package private(set) var acknowledged: SequenceNumber = .zero
    /// Whether another replica took over, or the shard is gone. Nothing happens after that.
    package private(set) var isOver = false

    let writeConsistencyFactor: Int
    let options: ReplicationOptions
    /// The revision of the record that all nodes must know before anything is acknowledged; nil when they do.
    package private(set) var unsettled: Revision?
    private let answersAreChecked: Bool
    private(set) var liveNodes: Set<NodeID>
    /// Every replica of the record but ours.
    var backups: [NodeID: Backup] = [:]
    /// Writes that were let in and are neither committed nor failed.
    private var admitted = 0
    /// Whether a compare-and-swap is under way.
    private var isSwapping = false
    private var swapRetryAt: Duration = .zero
    /// Until when no write is let in, since the shard is about to be replaced; `.zero` when that is over. What replaces it
    /// counts on the record's revision, so it ends with a newer one: the record is written anew if need be.
    package private(set) var heldUntil: Duration?
    /// Replicas that a compare-and-swap whose outcome is unknown may have promoted. They belong to the acknowledging
    /// set until a newer record tells.
    private var perhapsInSync: Set<NodeID> = []

    /// - Parameter answersAreChecked: whether replicas compare their record with the newest before each answer.
    package init(
        node: NodeID, record: Stored<ShardRecord>, position: LogPosition, writeConsistencyFactor: Int,
        liveNodes: Set<NodeID>, options: ReplicationOptions = ReplicationOptions(), answersAreChecked: Bool = true
    ) {
        precondition(record.value.primary == node)
        // Who was in sync before is not in the record.
        unsettled = answersAreChecked ? nil : record.revision
        self.answersAreChecked = answersAreChecked
        self.node = node
        self.record = record
        committed = position
        self.writeConsistencyFactor = writeConsistencyFactor
        self.liveNodes = liveNodes
        self.options = options
        // A promotion that this node asked for before its process ended may still be on its way to a store elsewhere. On
        // this machine it ended with the process.
        if !answersAreChecked {
            perhapsInSync = Set(record.value.replicas.filter { $0.state == .catchingUp }.map(\.node))
        }
    }

    /// The first actions. Call it once.
    package mutating func start(now: Duration) -> [PrimaryAction] {
        adoptReplicas(now: now)
        return decide(now: now)
    }

    /// Asks whether a write may be appended to the log. After nil, exactly one of `localCommitted` and `localFailed`
    /// must follow.
    package mutating func admitWrite() -> ShardError? {
        if isOver { return .notPrimary }
        if record.value.handover != nil { return .notServing(reason: "the primary is handing its role over") }
        if heldUntil != nil { return .notServing(reason: "the shard is about to be replaced by others") }
        if let refusal = refusalOfAcknowledgement { return refusal }
        admitted += 1
        return nil
    }

    /// Takes in what happened and says what to do, in order. `now` is the time since any fixed moment.
    package mutating func handle(_ event: PrimaryEvent, now: Duration) -> [PrimaryAction] {
        if isOver { return [] }
        var actions: [PrimaryAction] = []
        switch event {
        case .localCommitted(let position):
            admitted -= 1
            committed = max(committed, position)
        case .localFailed:
            admitted -= 1
        case .backupOpened(let node, let state, let epochHere):
            opened(node, state, epochHere: epochHere, now: now)
        case .backupAcked(let node, let state):
            acked(node, state, now: now)
        case .logTrimmed(let node):
            guard backups[node]?.phase == .sending else { break }
            backups[node]?.needSnapshot()
        case .snapshotTaken(let node, let position):
            guard case .sendingSnapshot = backups[node]?.phase else { break }
            backups[node]?.phase = .sendingSnapshot(from: position.sequence)
        case .snapshotInstalled(let node, let state):
            guard case .sendingSnapshot = backups[node]?.phase else { break }
            backups[node]?.succeed(state, now: now)
            backups[node]?.snapshotRetryDelay = nil
            backups[node]?.hasDiverged = false
        case .backupDiverged(let node):
            backups[node]?.hasDiverged = true
        case .backupFailed(let node, let failure):
            actions += failed(node, failure, now: now)
        case .recordChanged(let record):
            actions += changed(record, now: now)
        case .swapFailed:
            isSwapping = false
            swapRetryAt = now + options.minimumRetryDelay
            actions.append(.refreshRecord)
        case .recordKnown(let revision):
            if let awaited = unsettled, awaited <= revision { unsettled = nil }
        case .liveNodesChanged(let nodes):
            liveNodesChanged(to: nodes, now: now)
        case .tick: break
        }
        return isOver ? actions : actions + decide(now: now)
    }

    /// Takes in a newer state of the cluster as a whole: a record that says that a node was taken out of the in-sync set
    /// must not be seen without the news that the node is gone.
    ///
    /// - Parameter restarted: nodes on which other processes run than before.
    package mutating func follow(
        _ record: Stored<ShardRecord>?, liveNodes nodes: Set<NodeID>, restarted: Set<NodeID>, now: Duration
    ) -> [PrimaryAction] {
        if isOver { return [] }
        for node in restarted { backups[node]?.restart(now: now) }
        liveNodesChanged(to: nodes, now: now)
        let actions = changed(record, now: now)
        return isOver ? actions : actions + decide(now: now)
    }

    /// Why nothing is acknowledged to clients, whoever has it; nil when that is not so.
    var refusalOfAcknowledgement: ShardError? {
        let inSync = record.value.inSync.count
        return inSync < requiredReplicas
            ? .insufficientReplicas(inSync: inSync, required: requiredReplicas) : nil
    }

    // MARK: - Holding writes

    /// Lets no write in until the time, or until the record changes.
    ///
    /// - Returns: the record's revision; nil when it cannot be held now.
    package mutating func holdWrites(until time: Duration) -> Revision? {
        guard !isOver, !isSwapping, record.value.handover == nil else { return nil }
        heldUntil = time
        return record.revision
    }

    /// Ends the hold by a newer record.
    package mutating func releaseWrites(now: Duration) -> [PrimaryAction] {
        guard !isOver, heldUntil != nil else { return [] }
        heldUntil = .zero
        return decide(now: now)
    }

    /// Whether every write that was let in is on all in-sync replicas, or failed.
    package var isDrained: Bool { admitted == 0 && acknowledged == committed.sequence }

    // MARK: - What the shell needs to know

    /// The log has to keep everything after this; nil when nobody needs it.
    package var retentionFloor: SequenceNumber? {
        backups.compactMap { node, backup -> SequenceNumber? in
            if case .sendingSnapshot(let from) = backup.phase { return from ?? committed.sequence }
            guard let acked = backup.acked?.sequence else { return mustAcknowledge(node) ? .zero : nil }
            let lag = committed.sequence.rawValue - min(acked.rawValue, committed.sequence.rawValue)
            return mustAcknowledge(node) || lag <= options.maximumPinnedRecords ? acked : nil
        }.min()
    }

    /// The most rows that an in-sync backup's graph lags behind by.
    package var largestUnindexedRows: UInt64 {
        backups.filter { mustAcknowledge($0.key) }.map(\.value.unindexedRows).max() ?? 0
    }

    /// The last write that the backup is known to have.
    package func acked(by node: NodeID) -> LogPosition? { backups[node]?.acked }

    // MARK: - Events

    private mutating func opened(_ node: NodeID, _ state: BackupState, epochHere: Epoch?, now: Duration) {
        guard let backup = backups[node], backup.phase == .opening else { return }
        // Replicas that wrote the same sequence in the same epoch have the same history, as an epoch has one primary.
        guard state.position.sequence == .zero || state.position.epoch == epochHere else {
            backups[node]?.needSnapshot()
            return
        }
        if mustAcknowledge(node) && state.position.sequence < acknowledged { backups[node]?.lostData = true }
        backups[node]?.succeed(state, now: now)
    }

    private mutating func acked(_ node: NodeID, _ state: BackupState, now: Duration) {
        guard let backup = backups[node], backup.phase == .sending else { return }
        guard state.position.sequence > backup.acked?.sequence ?? .zero else {
            backups[node]?.fail(.refused(reason: "it did not take the records"), now: now, options: options)
            return
        }
        let keptUp = state.position.sequence >= backup.sendingGoal
        backups[node]?.succeed(state, now: now)
        if keptUp { backups[node]?.join(at: committed.sequence) }
    }

    private mutating func failed(_ node: NodeID, _ failure: BackupFailure, now: Duration) -> [PrimaryAction] {
        guard backups[node] != nil else { return [] }
        backups[node]?.fail(failure, now: now, options: options)
        guard case .staleEpoch(let epoch) = failure else { return [] }
        // Either the message crossed our own change of the record, or we do not know yet that we were replaced.
        if epoch <= record.value.epoch {
            backups[node]?.retryAtOnce(now: now)
            return []
        }
        return [.refreshRecord]
    }

    private mutating func changed(_ new: Stored<ShardRecord>?, now: Duration) -> [PrimaryAction] {
        guard let new else { return stepDown("the shard is gone") }
        guard new.revision > record.revision else { return [] }
        if !answersAreChecked && Self.mayHaveRemoved(from: record.value, to: new.value) { unsettled = new.revision }
        // Whoever took it out of the set, perhaps the replica itself because its data is gone: it has to say anew what it
        // has before anybody counts on it again.
        for node in record.value.inSync where !new.value.isInSync(node) { backups[node]?.restart(now: now) }
        // A replica that is not in sync may have been removed, which raises the epoch, and made anew since the record that
        // we knew: then it is empty, whatever it has told us.
        if new.value.epoch != record.value.epoch {
            for node in backups.keys where !new.value.isInSync(node) { backups[node]?.restart(now: now) }
        }
        record = new
        heldUntil = nil
        isSwapping = false
        swapRetryAt = .zero
        perhapsInSync = []
        if new.value.primary != node { return stepDown("node \(new.value.primary) is the primary") }
        adoptReplicas(now: now)
        return []
    }

    /// Whether some replica was in sync in the old record, or in one between the two, and is not in the new one. Each
    /// change of the in-sync set raises the epoch by at least one.
    private static func mayHaveRemoved(from old: ShardRecord, to new: ShardRecord) -> Bool {
        new.epoch.rawValue > old.epoch.rawValue + 1 || !Set(old.inSync).isSubset(of: new.inSync)
    }

    private mutating func liveNodesChanged(to nodes: Set<NodeID>, now: Duration) {
        // One that comes back may be another process, with another disk.
        for node in liveNodes.symmetricDifference(nodes) { backups[node]?.restart(now: now) }
        liveNodes = nodes
    }

    private mutating func stepDown(_ reason: String) -> [PrimaryAction] {
        isOver = true
        // Whether the writes survive is the new primary's to say.
        return [
            .rejectPending(.unreachable(reason: "this replica stepped down: \(reason)")), .stepDown(reason: reason),
        ]
    }

    private mutating func adoptReplicas(now: Duration) {
        let others = Set(record.value.replicas.map(\.node)).subtracting([node])
        for gone in Set(backups.keys).subtracting(others) { backups[gone] = nil }
        for added in others.subtracting(backups.keys) { backups[added] = Backup(retryAt: now) }
        for other in others {
            // In sync: it has joined for good. Demoted: what spoke against it has been dealt with.
            if record.value.isInSync(other) {
                backups[other]?.joinPoint = nil
            } else {
                backups[other]?.lostData = false
            }
        }
    }

    // MARK: - Decisions

    /// While the shard is being filled its backups come in sync last.
    private var requiredReplicas: Int { record.value.filling == nil ? writeConsistencyFactor : 1 }

    private func mustAcknowledge(_ node: NodeID) -> Bool {
        record.value.isInSync(node) || perhapsInSync.contains(node) || backups[node]?.joinPoint != nil
    }

    private mutating func decide(now: Duration) -> [PrimaryAction] {
        dropSlowJoiners(now: now)
        return acknowledge() + contactBackups(now: now) + swap(now: now)
    }

    /// Writes do not wait long for a replica that nobody counts on yet; it may join again when it is quicker.
    private mutating func dropSlowJoiners(now: Duration) {
        for (node, backup) in backups where backup.joinPoint != nil && !record.value.isInSync(node) {
            let isLate = backup.busySince.map { now - $0 >= options.unreachableTimeout } ?? false
            if isLate || !liveNodes.contains(node) { backups[node]?.joinPoint = nil }
        }
    }

    private mutating func acknowledge() -> [PrimaryAction] {
        var through = committed.sequence
        for (node, backup) in backups where mustAcknowledge(node) {
            through = min(through, backup.acked?.sequence ?? .zero)
        }
        guard through > acknowledged, unsettled == nil else { return [] }
        acknowledged = through
        return [refusalOfAcknowledgement.map { .rejectPending($0) } ?? .acknowledge(through: through)]
    }

    private mutating func contactBackups(now: Duration) -> [PrimaryAction] {
        var actions: [PrimaryAction] = []
        for node in backups.keys.sorted() {
            if backups[node]?.mustBeReplaced(now: now) == true { backups[node]?.needSnapshot() }
            guard let backup = backups[node] else { continue }
            switch backup.phase {
            case .closed(let retryAt):
                guard now >= retryAt, liveNodes.contains(node) else { continue }
                backups[node]?.begin(.opening, now: now)
                actions.append(.open(node))
            case .idle:
                guard let acked = backup.acked else { continue }
                guard acked.sequence < committed.sequence else {
                    if !record.value.isInSync(node) { backups[node]?.join(at: committed.sequence) }
                    continue
                }
                backups[node]?.begin(.sending, now: now)
                backups[node]?.sendingGoal = committed.sequence
                actions.append(.send(node, after: acked))
            case .awaitingSnapshot:
                // One copy of the shard at a time. An in-sync replica is demoted first: it cannot acknowledge
                // meanwhile.
                guard !mustAcknowledge(node), liveNodes.contains(node),
                    !backups.values.contains(where: { $0.phase.isSendingSnapshot })
                else { continue }
                backups[node]?.begin(.sendingSnapshot(from: nil), now: now)
                actions.append(.sendSnapshot(node))
            case .opening, .sending, .sendingSnapshot: continue
            }
        }
        return actions
    }

    /// At most one compare-and-swap at a time: demotions before the handover before promotions.
    private mutating func swap(now: Duration) -> [PrimaryAction] {
        // Without our own lease we are about to be replaced, and our view of the others may be as old.
        guard !isSwapping, now >= swapRetryAt, liveNodes.contains(node) else { return [] }
        let old = record.value
        var new = old
        let mustRelease = heldUntil.map { now >= $0 } ?? false
        let failing = old.inSync.filter { $0 != node && shouldDemote($0, now: now) }
        if !failing.isEmpty {
            for backup in failing { new = (try? new.demoting(backup, by: node)) ?? new }
        } else if heldUntil != nil {
            // Nothing that can wait: whoever replaces the shard would have to begin anew.
        } else if let target = old.handover {
            // The role is passed on when nothing is under way, so the new primary begins with what everybody has.
            if admitted == 0, acknowledged == committed.sequence, let acked = backups[target]?.acked,
                acked.sequence == committed.sequence
            {
                new = (try? old.handingOver(to: target, by: node)) ?? old
            }
        } else {
            for backup in backups.keys.sorted() where canPromote(backup) {
                new = (try? new.promoting(backup, by: node)) ?? new
            }
        }
        // When a promotion of unknown outcome is followed by a failure, an unchanged record is written: its newer
        // revision settles that the promotion cannot take effect any more.
        let unsettled = perhapsInSync.contains { !old.isInSync($0) && backups[$0]?.joinPoint == nil }
        guard new != old || unsettled || mustRelease else { return [] }
        isSwapping = true
        perhapsInSync.formUnion(new.inSync.filter { $0 != node && !old.isInSync($0) })
        return [.compareAndSwap(expected: record.revision, record: new)]
    }

    private func canPromote(_ node: NodeID) -> Bool {
        guard let backup = backups[node], let joinPoint = backup.joinPoint, !record.value.isInSync(node) else {
            return false
        }
        return liveNodes.contains(node) && backup.acked?.sequence ?? .zero >= joinPoint
    }

    private func shouldDemote(_ node: NodeID, now: Duration) -> Bool {
        guard let backup = backups[node] else { return false }
        if !liveNodes.contains(node) || backup.lostData || backup.hasDiverged
            || backup.phase == .awaitingSnapshot
        {
            return true
        }
        if let since = backup.busySince, now - since >= options.replicationTimeout { return true }
        guard let since = backup.failingSince else { return false }
        return switch backup.failure {
        case .unreachable: now - since >= options.unreachableTimeout
        case .refused, .staleEpoch: now - since >= options.refusalTimeout
        case nil: false
        }
    }
}

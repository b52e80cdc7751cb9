import Cluster
import DataModel

/// Carries out what a `PrimarySession` decides, as `PrimaryShell` does.
final class SimulatedPrimary {
    private static let openTimeout = 2_000_000
    private static let batch = 20

    private unowned let replica: SimulatedReplica
    private let id: ShardID
    private let node: SimulatedNode
    private let shard: SimulatedShard
    private(set) var session: PrimarySession
    private var waiters: [UInt64: (ShardError?) -> Void] = [:]
    private var nextKey: UInt64 = 0

    init(_ replica: SimulatedReplica, shard: SimulatedShard, session: PrimarySession) {
        self.replica = replica
        (id, node) = (replica.id, replica.node)
        self.shard = shard
        self.session = session
    }

    private var simulation: Simulation { node.simulation }
    private var epoch: Epoch { session.record.value.epoch }
    private var replicationTimeout: Int {
        let (seconds, attoseconds) = simulation.profile.options.replicationTimeout.components
        return Int(seconds) * 1_000_000 + Int(attoseconds / 1_000_000_000_000)
    }

    func begin() { change { $0.start(now: node.clock) } }
    func feed(_ event: PrimaryEvent) {
        switch event {
        case .tick, .localCommitted, .localFailed: break
        default: simulation.trace("node \(node.id) as primary of shard \(id.number) hears: \(event)")
        }
        change { $0.handle(event, now: node.clock) }
    }
    func follow(_ current: ClusterState) { change { $0.follow(current, now: node.clock) } }
    func end() { change { $0.end() } }

    private func change(_ body: (inout PrimarySession) -> PrimarySession.Outcome) {
        let outcome = body(&session)
        keep(outcome.retention)
        for settled in outcome.settled { waiters.removeValue(forKey: settled.key)?(settled.error) }
        for action in outcome.actions { perform(action, swapGuards: outcome.swapGuards) }
    }

    private func keep(_ retention: PrimarySession.Retention) {
        if case .changed(let sequence) = retention { shard.retention = sequence }
    }

    // MARK: - Writing

    func write(
        _ operation: SimulatedWrite, deadline: Int, done: @escaping (Result<LogPosition, ShardError>) -> Void
    ) {
        if let held = waitsForHold(operation, deadline: deadline, done: done) { return held() }
        do throws(ShardError) {
            let admitted = try session.admitWrite()
            if let refusal = replica.fence.begin(in: admitted) {
                return failed(refusal, operation, deadline: deadline, done: done)
            }
            shard.add(.append(operation, admitted)) { [self] result in
                replica.fence.end(in: admitted)
                switch result {
                case .failure(let error): failed(error, operation, deadline: deadline, done: done)
                case .success(let position): wait(for: position, deadline: deadline, done: done)
                }
            }
        } catch {
            done(.failure(error))
        }
    }

    /// A hold ends in a moment: a writer waits for that, and for the news that the shard was replaced.
    private func waitsForHold(
        _ operation: SimulatedWrite, deadline: Int, done: @escaping (Result<LogPosition, ShardError>) -> Void
    ) -> (() -> Void)? {
        guard session.state.heldUntil != nil, !session.isOver, simulation.now < deadline else { return nil }
        return { [self] in
            node.process.after(5_000) { [self] in
                let again = { [self] in
                    if node.cache.shard(id) == nil { return done(.failure(.notHosted(id))) }
                    write(operation, deadline: deadline, done: done)
                }
                if simulation.profile.storeIsLocal { node.refresh { _ in again() } } else { again() }
            }
        }
    }

    private func failed(
        _ error: ShardError, _ operation: SimulatedWrite, deadline: Int,
        done: @escaping (Result<LogPosition, ShardError>) -> Void
    ) {
        feed(.localFailed)
        guard case .staleEpoch(let current) = error, !session.isOver, current <= epoch, simulation.now < deadline else {
            return done(.failure(error))
        }
        write(operation, deadline: deadline, done: done)
    }

    private func wait(
        for position: LogPosition, deadline: Int, done: @escaping (Result<LogPosition, ShardError>) -> Void
    ) {
        nextKey += 1
        waiters[nextKey] = { error in done(error.map { .failure($0) } ?? .success(position)) }
        let patience = Duration.microseconds(max(deadline - simulation.now, 0))
        let key = nextKey
        change { $0.committed(position, key: key, deadline: node.clock + patience, now: node.clock) }
    }

    // MARK: - For shards that replace this one

    func keepLog(after sequence: SequenceNumber, for reader: ShardNumber) {
        keep(session.setFloor(sequence, ofReader: reader, now: node.clock))
    }

    func keepLog(for reader: ShardNumber) { session.keepFloor(ofReader: reader, now: node.clock) }

    /// - Parameter done: gets the last write, which all in-sync replicas have, and the revision of the record: as long as
    ///   the record is at it, nothing is written.
    func hold(for time: Int, done: @escaping (Result<(LogPosition, Revision), ShardError>) -> Void) {
        let end = node.clock + .microseconds(time)
        guard let revision = session.holdWrites(until: end) else {
            return done(.failure(.notServing(reason: "the record is being changed")))
        }
        awaitDrain(until: end, revision, done: done)
    }

    private func awaitDrain(
        until end: Duration, _ revision: Revision, done: @escaping (Result<(LogPosition, Revision), ShardError>) -> Void
    ) {
        guard !session.isOver, session.record.revision == revision, session.state.heldUntil == end, node.clock < end
        else { return done(.failure(.notServing(reason: "writes could not be held long enough"))) }
        if session.state.isDrained { return done(.success((shard.position, revision))) }
        node.process.after(1_000) { [self] in awaitDrain(until: end, revision, done: done) }
    }

    func release() { change { $0.releaseWrites(now: node.clock) } }

    // MARK: - Actions

    private func perform(_ action: PrimaryAction, swapGuards: [ControlGuard]) {
        simulation.trace("node \(node.id) as primary of shard \(id.number): \(action)")
        switch action {
        case .open(let backup): open(backup)
        case .send(let backup, let position): send(to: backup, after: position)
        case .sendSnapshot(let backup): sendSnapshot(to: backup)
        case .compareAndSwap(let expected, let record): swap(expected, record, guards: swapGuards)
        case .refreshRecord: refreshRecord {}
        case .acknowledge, .rejectPending: break
        case .stepDown(let reason): simulation.trace("node \(node.id): steps down, \(reason)")
        }
    }

    private func call<Answer>(
        _ backup: NodeID, timeout: Int,
        _ body: @escaping (SimulatedReplica, @escaping (Result<Answer, ShardError>) -> Void) -> Void,
        done: @escaping (Result<Answer, ShardError>) -> Void
    ) {
        simulation.network.call(
            from: node, to: backup, timeout: timeout,
            { [id] target, reply in
                target.withReplica(of: id, { body($0, reply) }, else: { reply(.failure($0)) })
            }, done: done)
    }

    private func open(_ backup: NodeID) {
        let (epoch, deadline) = (epoch, simulation.now + Self.openTimeout)
        call(backup, timeout: Self.openTimeout) {
            $0.openReplica(epoch: epoch, deadline: deadline, reply: $1)
        } done: { [self] result in
            switch result {
            case .success(let state): feed(.backupOpened(backup, state, epochHere: epochHere(of: state.position)))
            case .failure(let error): feed(.backupFailed(backup, BackupFailure(error)))
            }
        }
    }

    private func epochHere(of position: LogPosition) -> Epoch? {
        if simulation.plants(.ignoresTheEpochOfThePreviousEntry) { return position.epoch }
        return shard.files.epoch(of: position.sequence)
    }

    private func send(to backup: NodeID, after position: LogPosition) {
        guard let missing = shard.files.records(after: position.sequence) else { return feed(.logTrimmed(backup)) }
        let records = Array(missing.prefix(Self.batch))
        let epoch = epoch
        call(backup, timeout: replicationTimeout) {
            $0.replicate(records, after: position, epoch: epoch, reply: $1)
        } done: { [self] result in
            switch result {
            case .success(let state): feed(.backupAcked(backup, state))
            case .failure(let error): feed(.backupFailed(backup, BackupFailure(error)))
            }
        }
    }

    private func swap(_ expected: Revision, _ record: ShardRecord, guards: [ControlGuard]) {
        let key = ControlKey.shard(record.id)
        let isDemotion = record.inSync.count < session.record.value.inSync.count
        if isDemotion && simulation.plants(.acknowledgesBeforeTheInSyncSetIsChanged) {
            node.process.after(1) { [self] in
                feed(.recordChanged(Stored(record, revision: Revision(expected.rawValue + 1))))
            }
        }
        node.transaction(
            [ControlGuard(key: key, expected: expected)] + guards, [.put(key: key, value: record.encoded)]
        ) { [self] result in
            switch result {
            case .success(.committed(let revision)):
                feed(.recordChanged(Stored(record, revision: revision)))
                node.refresh { _ in }
            case .success(.conflict):
                refreshRecord { [self] in feed(.swapFailed(reason: "conflict")) }
            case .failure(let error):
                if simulation.plants(.forgetsPromotionsOfUnknownOutcome) {
                    let former = session.record
                    feed(.recordChanged(Stored(former.value, revision: Revision(former.revision.rawValue + 1))))
                }
                feed(.swapFailed(reason: error.description))
            }
        }
    }

    private func refreshRecord(done: @escaping () -> Void) {
        node.refresh { [self] result in
            if case .success(let state) = result { follow(state) }
            done()
        }
    }

    // MARK: - Snapshots

    private func sendSnapshot(to backup: NodeID) {
        let transfer = simulation.newNumber()
        keep(session.setCopyFloor(shard.position.sequence, for: backup))
        node.process.after(simulation.random.within(1_000...simulation.profile.fsync * 3)) { [self] in
            let files = shard.files
            feed(.snapshotTaken(backup, files.position))
            keep(session.setCopyFloor(nil, for: backup))
            transferSnapshot(transfer, files, to: backup)
        }
    }

    private func transferSnapshot(_ transfer: Int, _ files: SimulatedFiles, to backup: NodeID) {
        let begun = epoch
        let fail = { [self] (error: ShardError) in feed(.backupFailed(backup, BackupFailure(error))) }
        call(backup, timeout: 10_000_000) {
            $0.beginSnapshot(transfer, epoch: begun, reply: $1)
        } done: { [self] (result: Result<Void, ShardError>) in
            if case .failure(let error) = result { return fail(error) }
            if session.isOver { return fail(.notPrimary) }
            let epoch = epoch
            // The receiver syncs and checks all files.
            call(backup, timeout: 20_000_000) {
                $0.finishSnapshot(transfer, files: files, epoch: epoch, reply: $1)
            } done: { [self] result in
                switch result {
                case .success(let state): feed(.snapshotInstalled(backup, state))
                case .failure(let error): fail(error)
                }
            }
        }
    }
}

import Cluster
import DataModel
import Testing

/// Scenarios of one primary, node 1, with backups 2 and 3.
@Suite struct PrimaryStateTests {
    private static let nodes = (1...3).map { NodeID($0) }
    private let two = NodeID(2)
    private let three = NodeID(3)

    private static func record(
        _ states: [ReplicaRecord.State] = [.inSync, .inSync, .inSync], epoch: UInt64 = 1, handover: NodeID? = nil,
        revision: UInt64 = 1
    ) -> Stored<ShardRecord> {
        let record = ShardRecord(
            id: ShardID(collection: CollectionID("c"), number: ShardNumber(0)),
            virtualShards: [VirtualShardRange(lower: 0, upper: 127)],
            replicas: zip(nodes, states).map { ReplicaRecord(node: $0, state: $1) }, primary: NodeID(1),
            epoch: Epoch(epoch), handover: handover)
        return Stored(record, revision: Revision(revision))
    }

    private func position(_ sequence: UInt64, _ epoch: UInt64 = 1) -> LogPosition {
        sequence == 0 ? .start : LogPosition(sequence: SequenceNumber(sequence), epoch: Epoch(epoch))
    }

    private func state(_ sequence: UInt64, _ epoch: UInt64 = 1, unindexed: UInt64 = 0) -> BackupState {
        BackupState(position: position(sequence, epoch), unindexedRows: unindexed)
    }

    /// A primary whose backups are open and have what it has.
    private func started(
        _ record: Stored<ShardRecord> = record(), at sequence: UInt64 = 0, factor: Int = 1
    ) -> PrimaryState {
        var primary = PrimaryState(
            node: NodeID(1), record: record, position: position(sequence),
            writeConsistencyFactor: factor, liveNodes: Set(Self.nodes))
        let backups = record.value.replicas.map(\.node).filter { $0 != NodeID(1) }
        #expect(primary.start(now: .zero) == backups.map { .open($0) })
        for node in backups {
            _ = primary.handle(.backupOpened(node, state(sequence), epochHere: Epoch(1)), now: .zero)
        }
        return primary
    }

    private func write(_ primary: inout PrimaryState, _ sequence: UInt64, epoch: UInt64 = 1) -> [PrimaryAction] {
        #expect(primary.admitWrite() == nil)
        return primary.handle(.localCommitted(position(sequence, epoch)), now: .zero)
    }

    // MARK: - Records that replicas may not know yet

    /// A primary whose replicas answer by records that may be old, and its backups are open.
    private func unchecked(_ record: Stored<ShardRecord> = record()) -> PrimaryState {
        var primary = PrimaryState(
            node: NodeID(1), record: record, position: .start, writeConsistencyFactor: 1,
            liveNodes: Set(Self.nodes), answersAreChecked: false)
        _ = primary.start(now: .zero)
        for node in [two, three] { _ = primary.handle(.backupOpened(node, state(0), epochHere: Epoch(0)), now: .zero) }
        return primary
    }

    private func acknowledgements(_ actions: [PrimaryAction]) -> [PrimaryAction] {
        actions.filter { if case .acknowledge = $0 { true } else { false } }
    }

    /// Who was in sync before, the record does not say: such a replica may still answer, without the write.
    @Test func aNewPrimaryAcknowledgesNothingUntilItsRecordIsKnown() {
        var primary = unchecked(Self.record([.inSync, .inSync, .catchingUp], epoch: 4, revision: 9))
        var actions = write(&primary, 1, epoch: 4)
        for node in [two, three] { actions += primary.handle(.backupAcked(node, state(1, 4)), now: .zero) }
        actions += primary.handle(.recordKnown(Revision(8)), now: .zero)
        #expect(acknowledgements(actions) == [])
        #expect(
            acknowledgements(primary.handle(.recordKnown(Revision(9)), now: .zero))
                == [.acknowledge(through: SequenceNumber(1))])
        #expect(primary.unsettled == nil)
    }

    @Test func aDemotedBackupMustKnowThatItIsBeforeAWriteIsAcknowledgedWithoutIt() {
        var primary = unchecked()
        _ = primary.handle(.recordKnown(Revision(1)), now: .zero)
        _ = write(&primary, 1)
        _ = primary.handle(.backupAcked(three, state(1)), now: .zero)
        let demoted = Self.record([.inSync, .catchingUp, .inSync], epoch: 2, revision: 5)
        #expect(acknowledgements(primary.handle(.recordChanged(demoted), now: .zero)) == [])
        #expect(primary.unsettled == Revision(5))
        #expect(
            acknowledgements(primary.handle(.recordKnown(Revision(5)), now: .zero))
                == [.acknowledge(through: SequenceNumber(1))])
    }

    @Test func aPromotionStopsNoAcknowledgement() {
        var primary = unchecked(Self.record([.inSync, .inSync, .catchingUp]))
        _ = primary.handle(.recordKnown(Revision(1)), now: .zero)
        _ = primary.handle(.recordChanged(Self.record(epoch: 2, revision: 4)), now: .zero)
        #expect(primary.unsettled == nil)
    }

    /// Between two records that the primary saw, one may have been promoted and demoted again.
    @Test func missedRecordsCountAsIfOneHadBeenRemoved() {
        var primary = unchecked()
        _ = primary.handle(.recordKnown(Revision(1)), now: .zero)
        _ = primary.handle(.recordChanged(Self.record(epoch: 3, revision: 6)), now: .zero)
        #expect(primary.unsettled == Revision(6))
    }

    // MARK: - Writes

    @Test func aWriteIsAcknowledgedWhenEveryInSyncBackupHasIt() {
        var primary = started()
        #expect(write(&primary, 1) == [.send(two, after: .start), .send(three, after: .start)])
        // One batch is under way; the next write waits for its turn.
        #expect(write(&primary, 2) == [])
        #expect(primary.handle(.backupAcked(two, state(1)), now: .zero) == [.send(two, after: position(1))])
        #expect(
            primary.handle(.backupAcked(three, state(2)), now: .zero) == [.acknowledge(through: SequenceNumber(1))])
        #expect(primary.retentionFloor == SequenceNumber(1))
        #expect(
            primary.handle(.backupAcked(two, state(2, unindexed: 7)), now: .zero)
                == [.acknowledge(through: SequenceNumber(2))])
        #expect(primary.retentionFloor == SequenceNumber(2))
        #expect(primary.largestUnindexedRows == 7)
    }

    @Test func aLonePrimaryAcknowledgesAtOnce() {
        var primary = started(Self.record([.inSync]))
        #expect(write(&primary, 1) == [.acknowledge(through: SequenceNumber(1))])
        #expect(primary.retentionFloor == nil)
    }

    @Test func aBackupThatLostItsLeaseIsDemotedBeforeAnythingIsAcknowledgedWithoutIt() throws {
        var primary = started()
        _ = write(&primary, 1)
        _ = primary.handle(.backupAcked(two, state(1)), now: .zero)
        #expect(primary.handle(.backupFailed(three, .unreachable(reason: "gone")), now: .zero) == [])
        let demoted = try Self.record().value.demoting(three, by: NodeID(1))
        #expect(
            primary.handle(.liveNodesChanged([NodeID(1), two]), now: .milliseconds(1))
                == [.compareAndSwap(expected: Revision(1), record: demoted)])
        #expect(
            primary.handle(.recordChanged(Stored(demoted, revision: Revision(2))), now: .milliseconds(2))
                == [.acknowledge(through: SequenceNumber(1))])
    }

    @Test func patienceDependsOnTheKindOfFailure() {
        let cases: [(BackupFailure?, Duration)] = [
            (.unreachable(reason: ""), .seconds(1)), (.refused(reason: ""), .seconds(3)), (nil, .seconds(10)),
        ]
        for (failure, patience) in cases {
            var primary = started(Self.record([.inSync, .inSync]))
            _ = write(&primary, 1)
            if let failure { _ = primary.handle(.backupFailed(two, failure), now: .zero) }
            func isDemoting(_ actions: [PrimaryAction]) -> Bool {
                actions.contains { if case .compareAndSwap = $0 { true } else { false } }
            }
            #expect(!isDemoting(primary.handle(.tick, now: patience - .milliseconds(100))))
            #expect(isDemoting(primary.handle(.tick, now: patience)))
            // Only one at a time.
            #expect(!isDemoting(primary.handle(.tick, now: patience + .seconds(1))))
        }
    }

    @Test func aConflictIsDecidedAnew() throws {
        var primary = started()
        let actions = primary.handle(.liveNodesChanged([NodeID(1), two]), now: .zero)
        #expect(
            actions == [
                .compareAndSwap(expected: Revision(1), record: try Self.record().value.demoting(three, by: NodeID(1)))
            ])
        // The controller was quicker.
        let newer = Self.record([.inSync, .inSync, .catchingUp], epoch: 2, revision: 5)
        #expect(primary.handle(.recordChanged(newer), now: .zero) == [])
        #expect(primary.handle(.swapFailed(reason: "conflict"), now: .zero) == [.refreshRecord])
        #expect(primary.handle(.tick, now: .seconds(1)) == [])
        // What is older than what is known changes nothing.
        #expect(primary.handle(.recordChanged(Self.record()), now: .seconds(1)) == [])
        #expect(primary.record == newer)
    }

    @Test func aReplicaThatCatchesUpJoinsFirstAndIsPromotedThen() throws {
        let record = Self.record([.inSync, .catchingUp])
        var primary = PrimaryState(
            node: NodeID(1), record: record, position: position(10), writeConsistencyFactor: 1,
            liveNodes: Set(Self.nodes))
        _ = primary.start(now: .zero)
        #expect(primary.acknowledged == SequenceNumber(10))
        #expect(
            primary.handle(.backupOpened(two, state(4), epochHere: Epoch(1)), now: .zero)
                == [.send(two, after: position(4))])
        // While it lags, writes do not wait for it.
        #expect(write(&primary, 11) == [.acknowledge(through: SequenceNumber(11))])
        // It has all that there was when the batch was sent: from here on writes wait for it.
        #expect(primary.handle(.backupAcked(two, state(10)), now: .zero) == [.send(two, after: position(10))])
        #expect(write(&primary, 12) == [])
        let promoted = try record.value.promoting(two, by: NodeID(1))
        #expect(
            primary.handle(.backupAcked(two, state(11)), now: .zero)
                == [.send(two, after: position(11)), .compareAndSwap(expected: Revision(1), record: promoted)])
        #expect(primary.handle(.recordChanged(Stored(promoted, revision: Revision(2))), now: .zero) == [])
        #expect(primary.handle(.backupAcked(two, state(12)), now: .zero) == [.acknowledge(through: SequenceNumber(12))])
    }

    /// Found by the simulator: a primary that was stopped for long counted on what a removed replica had told it, and wrote
    /// down as in sync the empty one that had been made in its place.
    @Test func aReplicaThatWasMadeAnewUnseenIsAskedWhatItHas() {
        var primary = PrimaryState(
            node: NodeID(1), record: Self.record([.inSync, .catchingUp]), position: position(10),
            writeConsistencyFactor: 1, liveNodes: Set(Self.nodes))
        _ = primary.start(now: .zero)
        #expect(
            primary.handle(.backupOpened(two, state(4), epochHere: Epoch(1)), now: .zero)
                == [.send(two, after: position(4))])
        // Removed, which raised the epoch, and added again.
        let anew = Self.record([.inSync, .catchingUp], epoch: 2, revision: 9)
        #expect(primary.handle(.recordChanged(anew), now: .zero) == [])
        #expect(primary.handle(.backupAcked(two, state(10)), now: .zero) == [.open(two)])
    }

    /// The promotion may have been written although the answer was lost. Were writes acknowledged without the replica,
    /// it could be made primary and lack them.
    @Test func aPromotionOfUnknownOutcomeKeepsTheReplicaInTheAcknowledgingSet() throws {
        let record = Self.record([.inSync, .catchingUp])
        var primary = PrimaryState(
            node: NodeID(1), record: record, position: .start, writeConsistencyFactor: 1, liveNodes: Set(Self.nodes))
        _ = primary.start(now: .zero)
        let promoted = try record.value.promoting(two, by: NodeID(1))
        let swap = PrimaryAction.compareAndSwap(expected: Revision(1), record: promoted)
        #expect(primary.handle(.backupOpened(two, state(0), epochHere: nil), now: .zero) == [swap])
        #expect(primary.handle(.swapFailed(reason: "no answer"), now: .zero) == [.refreshRecord])
        _ = primary.handle(.backupFailed(two, .unreachable(reason: "")), now: .zero)
        #expect(write(&primary, 1) == [])
        // An unchanged record of a newer revision settles it.
        let settling = primary.handle(.tick, now: .milliseconds(60))
        #expect(settling.contains(.compareAndSwap(expected: Revision(1), record: record.value)))
        #expect(
            primary.handle(.recordChanged(Stored(record.value, revision: Revision(3))), now: .milliseconds(70))
                == [.acknowledge(through: SequenceNumber(1))])
    }

    @Test func aJoiningReplicaThatHangsDoesNotHoldWritersUpForLong() {
        var primary = PrimaryState(
            node: NodeID(1), record: Self.record([.inSync, .catchingUp]), position: .start, writeConsistencyFactor: 1,
            liveNodes: [NodeID(1)])
        _ = primary.start(now: .zero)
        _ = primary.handle(.liveNodesChanged([NodeID(1), two]), now: .zero)
        _ = write(&primary, 1)
        _ = primary.handle(.backupOpened(two, state(0), epochHere: nil), now: .zero)
        _ = write(&primary, 2)
        // It takes the first record and joins; then it is silent.
        _ = primary.handle(.backupAcked(two, state(1)), now: .zero)
        #expect(write(&primary, 3) == [])
        #expect(primary.handle(.tick, now: .milliseconds(900)) == [])
        let actions = primary.handle(.tick, now: .seconds(1))
        #expect(actions.first == .acknowledge(through: SequenceNumber(3)))
    }

    @Test func anotherHistoryOrATrimmedLogNeedsASnapshot() throws {
        let record = Self.record([.inSync, .inSync, .catchingUp], epoch: 3)
        var primary = PrimaryState(
            node: NodeID(1), record: record, position: position(10, 3), writeConsistencyFactor: 1,
            liveNodes: Set(Self.nodes))
        _ = primary.start(now: .zero)
        // In sync, but with a write of an earlier primary that was never acknowledged: demoted before its copy.
        let demoted = try record.value.demoting(two, by: NodeID(1))
        #expect(
            primary.handle(.backupOpened(two, state(10, 2), epochHere: Epoch(3)), now: .zero)
                == [.compareAndSwap(expected: Revision(1), record: demoted)])
        #expect(
            primary.handle(.backupOpened(three, state(4, 1), epochHere: Epoch(1)), now: .zero)
                == [.send(three, after: position(4, 1))])
        #expect(primary.handle(.logTrimmed(three), now: .zero) == [.sendSnapshot(three)])
        let actions = primary.handle(.recordChanged(Stored(demoted, revision: Revision(2))), now: .zero)
        #expect(actions == [.acknowledge(through: SequenceNumber(10))])
        // One copy at a time; the log is kept from where the copy was taken.
        _ = primary.handle(.snapshotTaken(three, position(10, 3)), now: .zero)
        _ = write(&primary, 11, epoch: 4)
        #expect(primary.retentionFloor == SequenceNumber(10))
        // The epoch was raised meanwhile: whoever is not in sync is asked what it has.
        #expect(
            primary.handle(.snapshotInstalled(three, state(10, 3)), now: .zero)
                == [.sendSnapshot(two), .open(three)])
        #expect(
            primary.handle(.backupOpened(three, state(10, 3), epochHere: Epoch(3)), now: .zero)
                == [.send(three, after: position(10, 3))])
    }

    @Test func aBackupThatComesBackWithLessThanItAcknowledgedIsDemoted() throws {
        var primary = started()
        _ = write(&primary, 1)
        _ = primary.handle(.backupAcked(two, state(1)), now: .zero)
        _ = primary.handle(.backupAcked(three, state(1)), now: .zero)
        _ = primary.handle(.backupFailed(two, .unreachable(reason: "")), now: .zero)
        #expect(primary.handle(.tick, now: .milliseconds(50)) == [.open(two)])
        let actions = primary.handle(.backupOpened(two, state(0), epochHere: nil), now: .milliseconds(51))
        let demoted = try Self.record().value.demoting(two, by: NodeID(1))
        #expect(actions.contains(.compareAndSwap(expected: Revision(1), record: demoted)))
    }

    @Test func tooFewInSyncReplicasRefuseWritesAndFailWaitingOnes() throws {
        var primary = started(Self.record([.inSync, .inSync]), factor: 2)
        _ = write(&primary, 1)
        _ = primary.handle(.liveNodesChanged([NodeID(1)]), now: .zero)
        let demoted = try Self.record([.inSync, .inSync]).value.demoting(two, by: NodeID(1))
        let refusal = ShardError.insufficientReplicas(inSync: 1, required: 2)
        #expect(
            primary.handle(.recordChanged(Stored(demoted, revision: Revision(2))), now: .zero)
                == [.rejectPending(refusal)])
        #expect(primary.admitWrite() == refusal)
    }

    @Test func theRoleIsHandedOverWhenNothingIsUnderWay() throws {
        var primary = started()
        #expect(primary.admitWrite() == nil)
        let asked = Self.record(handover: two, revision: 2)
        #expect(primary.handle(.recordChanged(asked), now: .zero) == [])
        #expect(primary.admitWrite()?.isTransient == true)
        _ = primary.handle(.localCommitted(position(1)), now: .zero)
        #expect(primary.handle(.backupAcked(two, state(1)), now: .zero) == [])
        let handedOver = try asked.value.handingOver(to: two, by: NodeID(1))
        #expect(
            primary.handle(.backupAcked(three, state(1)), now: .zero)
                == [
                    .acknowledge(through: SequenceNumber(1)),
                    .compareAndSwap(expected: Revision(2), record: handedOver),
                ])
        let actions = primary.handle(.recordChanged(Stored(handedOver, revision: Revision(3))), now: .zero)
        #expect(actions.contains { if case .stepDown = $0 { true } else { false } })
        #expect(primary.isOver)
        #expect(primary.admitWrite() == .notPrimary)
        #expect(primary.handle(.tick, now: .seconds(1)) == [])
    }

    @Test func aDeletedShardOrAnotherPrimaryEndsTheRoleAndFailsWaitingWrites() {
        var primary = started()
        _ = write(&primary, 1)
        let actions = primary.handle(.recordChanged(nil), now: .zero)
        guard actions.count == 2, case .rejectPending(let error) = actions[0], case .stepDown = actions[1] else {
            Issue.record("\(actions)")
            return
        }
        #expect(error.isAmbiguous)
    }

    @Test func epochsThatCrossEachOtherAreTriedAgainAtOnce() {
        var primary = started()
        _ = write(&primary, 1)
        _ = primary.handle(.recordChanged(Self.record(epoch: 2, revision: 2)), now: .zero)
        #expect(primary.handle(.backupFailed(two, .staleEpoch(Epoch(2))), now: .zero) == [.open(two)])
        #expect(primary.handle(.backupFailed(three, .staleEpoch(Epoch(3))), now: .zero) == [.refreshRecord])
    }

    @Test func failedBackupsAreTriedLessAndLessOften() {
        var primary = started(Self.record([.inSync, .catchingUp]))
        var opens = 0
        var now = Duration.zero
        _ = primary.handle(.backupFailed(two, .unreachable(reason: "")), now: now)
        while now < .seconds(10) {
            now += .milliseconds(50)
            for action in primary.handle(.tick, now: now) where action == .open(two) {
                opens += 1
                _ = primary.handle(.backupFailed(two, .unreachable(reason: "")), now: now)
            }
        }
        #expect(15...25 ~= opens)
    }

    /// A node's disk was lost while nothing was written. Its replica came back empty, and was made in sync at once, since
    /// it had had everything before: it then answered reads with nothing.
    @Test func aReplicaWhoseProcessEndedIsAskedAnewBeforeItIsCountedOn() throws {
        var primary = started(Self.record([.inSync, .inSync]), at: 7)
        let demoted = try Self.record([.inSync, .inSync]).value.demoting(two, by: NodeID(1))
        _ = primary.handle(.liveNodesChanged([NodeID(1)]), now: .zero)
        _ = primary.handle(.recordChanged(Stored(demoted, revision: Revision(2))), now: .zero)
        #expect(primary.handle(.liveNodesChanged([NodeID(1), two]), now: .milliseconds(1)) == [.open(two)])
        #expect(
            primary.handle(.backupOpened(two, state(0), epochHere: Epoch(0)), now: .milliseconds(2))
                == [.send(two, after: .start)])
    }

    /// A replica that found its data damaged takes itself out of the set. Its primary, which knew it to have everything,
    /// put it back at once.
    @Test func aReplicaThatLeftTheInSyncSetIsAskedAnew() throws {
        var primary = started(Self.record([.inSync, .inSync]), at: 7)
        let left = try Self.record([.inSync, .inSync]).value.demoting(two, by: NodeID(1))
        #expect(primary.handle(.recordChanged(Stored(left, revision: Revision(2))), now: .zero) == [.open(two)])
    }

    /// The news that a node is gone came after the record that said so: in between it was promoted again.
    @Test func aRecordAndTheNodesThatAreGoneAreSeenTogether() throws {
        var primary = started(Self.record([.inSync, .inSync]), at: 7)
        let demoted = try Self.record([.inSync, .inSync]).value.demoting(two, by: NodeID(1))
        let actions = primary.follow(
            Stored(demoted, revision: Revision(2)), liveNodes: [NodeID(1)], restarted: [], now: .zero)
        #expect(actions == [])
    }

    /// A node crashed while its promotion of a replica was on its way to a store elsewhere, and began anew as primary
    /// without knowing of it: it acknowledged without a replica that was in sync by then.
    @Test func aPrimaryThatBeginsSettlesWhatAFormerProcessMayHaveAskedFor() {
        let record = Self.record([.inSync, .catchingUp])
        var primary = PrimaryState(
            node: NodeID(1), record: record, position: position(3), writeConsistencyFactor: 1,
            liveNodes: [NodeID(1)], answersAreChecked: false)
        #expect(primary.start(now: .zero) == [.compareAndSwap(expected: Revision(1), record: record.value)])
        _ = primary.handle(.recordKnown(Revision(1)), now: .zero)
        #expect(write(&primary, 4) == [])
        #expect(
            primary.handle(.recordChanged(Stored(record.value, revision: Revision(2))), now: .zero)
                == [.acknowledge(through: SequenceNumber(4))])
    }

    /// With a promotion of unknown outcome nothing is acknowledged, and a handover waits for acknowledgements: both waited
    /// for ever.
    @Test func aHandoverDoesNotKeepAnUnknownPromotionFromBeingSettled() {
        let record = Self.record([.inSync, .inSync, .catchingUp], handover: two)
        var primary = PrimaryState(
            node: NodeID(1), record: record, position: position(3), writeConsistencyFactor: 1,
            liveNodes: [NodeID(1), two], answersAreChecked: false)
        let settling = PrimaryAction.compareAndSwap(expected: Revision(1), record: record.value)
        #expect(primary.start(now: .zero) == [.open(two), settling])
    }

    // MARK: - Divergence

    @Test func aBackupWithOtherPointsIsDemotedAndFilledAnew() {
        var primary = started(at: 5)
        let actions = primary.handle(.backupDiverged(two), now: .zero)
        let demoted = Self.record([.inSync, .catchingUp, .inSync], epoch: 2, revision: 2)
        #expect(actions == [.compareAndSwap(expected: Revision(1), record: demoted.value)])
        // Its history is ours, and would do for any other.
        #expect(primary.handle(.recordChanged(demoted), now: .zero) == [.sendSnapshot(two)])
        _ = primary.handle(.snapshotTaken(two, position(5)), now: .zero)
        #expect(primary.handle(.snapshotInstalled(two, state(5)), now: .zero) == [.open(two)])
        let next = primary.handle(.backupOpened(two, state(5), epochHere: Epoch(1)), now: .zero)
        let whole = Self.record([.inSync, .inSync, .inSync], epoch: 3, revision: 3)
        #expect(next == [.compareAndSwap(expected: Revision(2), record: whole.value)])
    }

    @Test func aSnapshotForADivergedBackupThatFailsIsTriedAgainAfterAWhile() {
        var primary = started(at: 5)
        _ = primary.handle(.backupDiverged(two), now: .zero)
        _ = primary.handle(
            .recordChanged(Self.record([.inSync, .catchingUp, .inSync], epoch: 2, revision: 2)), now: .zero)
        let failure = primary.handle(.backupFailed(two, .refused(reason: "no room")), now: .seconds(1))
        #expect(failure == [])
        #expect(primary.handle(.tick, now: .seconds(2)) == [.sendSnapshot(two)])
    }

    /// A backup whose disk was full was sent the whole shard twice a second.
    @Test func snapshotsThatARefusingBackupGetsAreSentLessAndLessOften() {
        let record = Self.record([.inSync, .catchingUp], epoch: 2)
        var primary = PrimaryState(
            node: NodeID(1), record: record, position: position(10, 2), writeConsistencyFactor: 1,
            liveNodes: Set(Self.nodes))
        var sent: [Duration] = []
        var now = Duration.zero
        // It can be opened each time, and has another history.
        func follow(_ actions: [PrimaryAction], failure: BackupFailure) {
            for action in actions {
                if action == .open(two) {
                    let next = primary.handle(.backupOpened(two, state(4, 1), epochHere: nil), now: now)
                    follow(next, failure: failure)
                } else if action == .sendSnapshot(two) {
                    sent.append(now)
                    _ = primary.handle(.backupFailed(two, failure), now: now)
                }
            }
        }
        follow(primary.start(now: now), failure: .refused(reason: "out of space"))
        while now < .seconds(180) {
            now += .milliseconds(500)
            follow(primary.handle(.tick, now: now), failure: .refused(reason: "out of space"))
        }
        let waits = zip(sent.dropFirst(), sent).map { $0 - $1 }
        #expect(waits.prefix(7) == [.milliseconds(500)] + [1, 2, 4, 8, 16, 30].map { .seconds($0) })
        #expect(waits.dropFirst(7).allSatisfy { $0 == .seconds(30) })
        // A new process may have more room, and a connection that broke says nothing of it.
        let restarted = primary.follow(record, liveNodes: Set(Self.nodes), restarted: [two], now: now)
        sent = []
        follow(restarted, failure: .unreachable(reason: ""))
        #expect(sent == [now])
        now += .milliseconds(500)
        follow(primary.handle(.tick, now: now), failure: .unreachable(reason: ""))
        #expect(sent.count == 2)
    }

    @Test func aBackupThatDivergesWhileABatchIsUnderWayWaitsForItsEnd() {
        var primary = started(at: 5)
        #expect(write(&primary, 6).contains(.send(two, after: position(5))))
        let actions = primary.handle(.backupDiverged(two), now: .zero)
        #expect(!actions.contains(.sendSnapshot(two)))
        _ = primary.handle(
            .recordChanged(Self.record([.inSync, .catchingUp, .inSync], epoch: 2, revision: 2)), now: .zero)
        #expect(primary.handle(.backupAcked(two, state(6)), now: .zero).contains(.sendSnapshot(two)))
    }
}

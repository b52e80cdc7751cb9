import Cluster
import DataModel
import Testing

/// Who waits for what, on a primary, node 1, with the backup 2.
@Suite struct PrimarySessionTests {
    private let two = NodeID(2)

    private static func record(inSync: Bool = true, revision: UInt64 = 1) -> Stored<ShardRecord> {
        let record = ShardRecord(
            id: ShardID(collection: CollectionID("c"), number: ShardNumber(0)),
            virtualShards: [VirtualShardRange(lower: 0, upper: 127)],
            replicas: [
                ReplicaRecord(node: NodeID(1), state: .inSync),
                ReplicaRecord(node: NodeID(2), state: inSync ? .inSync : .catchingUp),
            ], primary: NodeID(1), epoch: Epoch(revision))
        return Stored(record, revision: Revision(revision))
    }

    private func position(_ sequence: UInt64) -> LogPosition {
        LogPosition(sequence: SequenceNumber(sequence), epoch: Epoch(1))
    }

    /// It has five writes, and its backup four of them.
    private func started(factor: Int = 1) -> PrimarySession {
        var session = PrimarySession(
            node: NodeID(1), record: Self.record(), position: position(5), writeConsistencyFactor: factor,
            cluster: ClusterState(), options: ReplicationOptions(), answersAreChecked: true)
        _ = session.start(now: .zero)
        _ = session.handle(.liveNodesChanged([NodeID(1), two]), now: .zero)
        let four = BackupState(position: position(4), unindexedRows: 0)
        _ = session.handle(.backupOpened(two, four, epochHere: Epoch(1)), now: .zero)
        return session
    }

    private func acked(_ session: inout PrimarySession, _ sequence: UInt64) -> PrimarySession.Outcome {
        session.handle(
            .backupAcked(two, BackupState(position: position(sequence), unindexedRows: 0)), now: .zero)
    }

    /// Nothing was written since it took over, so no write's end brings the news.
    @Test func whatWasSeenIsAwaitedWithoutAWrite() {
        var session = started()
        let five = session.awaitAcknowledgement(of: position(5), key: 1, deadline: .seconds(1))
        #expect(five.settled.isEmpty)
        #expect(session.awaitAcknowledgement(of: position(4), key: 2, deadline: .seconds(1)).settled.map(\.key) == [2])
        let outcome = acked(&session, 5)
        #expect(outcome.settled.map(\.key) == [1] && outcome.settled.allSatisfy { $0.error == nil })
        #expect(session.awaitAcknowledgement(of: position(5), key: 3, deadline: .seconds(1)).settled.map(\.key) == [3])
    }

    @Test func aWriteThatWasDoneBeforeSettlesLikeANewOne() throws {
        var session = started()
        _ = try session.admitWrite()
        #expect(session.committed(position(5), key: 1, deadline: .seconds(1), now: .zero).settled.isEmpty)
        #expect(acked(&session, 5).settled.map(\.key) == [1])
        _ = try session.admitWrite()
        #expect(session.committed(position(5), key: 2, deadline: .seconds(1), now: .zero).settled.map(\.key) == [2])
    }

    @Test func aDeadlineEndsTheWait() {
        var session = started()
        _ = session.awaitAcknowledgement(of: position(5), key: 1, deadline: .seconds(1))
        #expect(session.handle(.tick, now: .milliseconds(900)).settled.isEmpty)
        #expect(session.handle(.tick, now: .seconds(1)).settled.map(\.error) == [.deadlineExceeded])
    }

    /// What too few replicas had was refused; it must neither be acknowledged nor wait for a write that comes after it.
    @Test func whatWasRefusedForTooFewReplicasIsAcknowledgedWhenThereAreEnough() throws {
        var session = started(factor: 2)
        _ = session.awaitAcknowledgement(of: position(5), key: 1, deadline: .seconds(1))
        let refused = session.handle(.recordChanged(Self.record(inSync: false, revision: 2)), now: .zero)
        let tooFew = ShardError.insufficientReplicas(inSync: 1, required: 2)
        #expect(refused.settled.map(\.error) == [tooFew])
        #expect(
            session.awaitAcknowledgement(of: position(5), key: 2, deadline: .seconds(1)).settled.map(\.error)
                == [tooFew])
        _ = session.handle(.recordChanged(Self.record(revision: 3)), now: .zero)
        #expect(
            session.awaitAcknowledgement(of: position(5), key: 3, deadline: .seconds(1)).settled.map(\.error) == [nil])
    }

    /// It may arrive late: a process that was started anew meanwhile may have another disk.
    @Test func aSwapRestsOnTheProcessesThatItIsAbout() throws {
        var cluster = ClusterState()
        for node: UInt32 in 1...2 {
            let liveness = NodeLiveness(id: NodeID(node), incarnation: 7, pid: 1, startedAt: 0)
            let entry = ControlEntry(
                key: ControlKey.live(NodeID(node)), value: liveness.encoded, modRevision: Revision(UInt64(10 + node)),
                lease: nil)
            cluster.apply([.put(entry)], upTo: entry.modRevision)
        }
        var session = PrimarySession(
            node: NodeID(1), record: Self.record(inSync: false), position: position(5), writeConsistencyFactor: 1,
            cluster: cluster, options: ReplicationOptions(), answersAreChecked: true)
        _ = session.start(now: .zero)
        let four = BackupState(position: position(4), unindexedRows: 0)
        #expect(session.handle(.backupOpened(two, four, epochHere: Epoch(1)), now: .zero).swapGuards.isEmpty)
        let outcome = acked(&session, 5)
        let promoted = try Self.record(inSync: false).value.promoting(two, by: NodeID(1))
        #expect(outcome.actions.contains(.compareAndSwap(expected: Revision(1), record: promoted)))
        let guards = outcome.swapGuards.map { [$0.key: $0.expected] }
        #expect(
            guards == [[ControlKey.live(NodeID(1)): Revision(11)], [ControlKey.live(two): Revision(12)]])
    }

    @Test func afterItsEndNothingIsAwaited() {
        var session = started()
        _ = session.end()
        #expect(
            session.awaitAcknowledgement(of: position(4), key: 1, deadline: .seconds(1)).settled.map(\.error)
                == [.notPrimary])
    }
}

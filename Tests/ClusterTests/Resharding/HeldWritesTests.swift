import Cluster
import DataModel
import Testing

/// A primary whose writes are held while its shard is replaced.
@Suite struct HeldWritesTests {
    private let id = ShardID(collection: CollectionID("c"), number: ShardNumber(0))

    private func record(revision: UInt64 = 5, inSync: [UInt32] = [1, 2]) -> Stored<ShardRecord> {
        Stored(
            ShardRecord(
                id: id, virtualShards: [VirtualShardRange(lower: 0, upper: 127)],
                replicas: inSync.map { ReplicaRecord(node: NodeID($0), state: .inSync) }, primary: NodeID(1)),
            revision: Revision(revision))
    }

    private func position(_ sequence: UInt64) -> LogPosition {
        LogPosition(sequence: SequenceNumber(sequence), epoch: Epoch(1))
    }

    private func primary(inSync: [UInt32] = [1, 2]) -> PrimaryState {
        var primary = PrimaryState(
            node: NodeID(1), record: record(inSync: inSync), position: position(3), writeConsistencyFactor: 1,
            liveNodes: [NodeID(1), NodeID(2)])
        _ = primary.start(now: .zero)
        if inSync.contains(2) {
            let state = BackupState(position: position(3), unindexedRows: 0)
            _ = primary.handle(.backupOpened(NodeID(2), state, epochHere: Epoch(1)), now: .zero)
        }
        return primary
    }

    private func admits(_ primary: inout PrimaryState) -> Bool { primary.admitWrite() == nil }

    @Test func noWriteIsLetInWhileTheyAreHeldAndThoseUnderWayAreWaitedFor() {
        var primary = primary()
        #expect(admits(&primary))
        let revision = primary.holdWrites(until: .seconds(2))
        #expect(revision == Revision(5))
        #expect(!admits(&primary))
        #expect(!primary.isDrained)
        _ = primary.handle(.localCommitted(position(4)), now: .zero)
        #expect(!primary.isDrained)
        let acked = BackupState(position: position(4), unindexedRows: 0)
        _ = primary.handle(.backupAcked(NodeID(2), acked), now: .zero)
        #expect(primary.isDrained)
        #expect(!primary.isQuiet)
    }

    /// Whoever replaces the shard counts on the record's revision: it is a newer one before a write is let in.
    @Test func aHoldThatEndsWritesTheRecordAnewBeforeItLetsAWriteIn() {
        var primary = primary(inSync: [1])
        _ = primary.holdWrites(until: .seconds(2))
        let early = primary.handle(.tick, now: .seconds(1))
        #expect(early.isEmpty)
        let actions = primary.handle(.tick, now: .seconds(2))
        #expect(actions == [.compareAndSwap(expected: Revision(5), record: record(inSync: [1]).value)])
        #expect(!admits(&primary))
        let second = primary.holdWrites(until: .seconds(9))
        #expect(second == nil)
        _ = primary.handle(.swapFailed(reason: "the store is away"), now: .seconds(2))
        #expect(!admits(&primary))
        let again = primary.handle(.tick, now: .seconds(3))
        #expect(again == actions)
        _ = primary.handle(.recordChanged(record(revision: 6, inSync: [1])), now: .seconds(3))
        #expect(admits(&primary))
    }

    @Test func aReleaseEndsTheHoldAtOnceAndAReplacedShardForGood() {
        var primary = primary(inSync: [1])
        _ = primary.holdWrites(until: .seconds(2))
        let release = primary.releaseWrites(now: .zero)
        #expect(!release.isEmpty)
        _ = primary.handle(.recordChanged(nil), now: .zero)
        #expect(primary.isOver)
        #expect(!admits(&primary))
    }

    @Test func aHandoverWaitsForTheHoldAndADemotionEndsIt() {
        var primary = primary()
        _ = primary.holdWrites(until: .seconds(2))
        let gone = primary.handle(.liveNodesChanged([NodeID(1)]), now: .seconds(1))
        #expect(gone.contains { if case .compareAndSwap = $0 { true } else { false } })
        _ = primary.handle(.recordChanged(record(revision: 7, inSync: [1])), now: .seconds(1))
        #expect(primary.heldUntil == nil)
    }

    @Test func theLogIsKeptForAReaderThatIsHeardOf() {
        var session = PrimarySession(
            node: NodeID(1), record: record(inSync: [1]), position: position(3), writeConsistencyFactor: 1,
            cluster: ClusterState(), options: ReplicationOptions(), answersAreChecked: true)
        let reader = ShardNumber(7)
        let kept = session.setFloor(SequenceNumber(2), ofReader: reader, now: .zero)
        #expect(kept == .changed(SequenceNumber(2)))
        session.keepFloor(ofReader: reader, now: .seconds(50))
        let before = session.handle(.tick, now: .seconds(100))
        #expect(before.retention == .unchanged)
        let after = session.handle(.tick, now: .seconds(111))
        #expect(after.retention == .changed(nil))
    }
}

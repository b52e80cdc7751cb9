import Cluster
import DataModel
import Testing

@Suite struct BackupRoleTests {
    private let record = ShardRecord(
        id: ShardID(collection: CollectionID("c"), number: ShardNumber(0)),
        virtualShards: [VirtualShardRange(lower: 0, upper: 127)],
        replicas: [ReplicaRecord(node: NodeID(1), state: .inSync), ReplicaRecord(node: NodeID(2), state: .catchingUp)],
        primary: NodeID(1), epoch: Epoch(5))

    private func position(_ sequence: UInt64, _ epoch: UInt64 = 5) -> LogPosition {
        LogPosition(sequence: SequenceNumber(sequence), epoch: Epoch(epoch))
    }

    private func records(_ range: ClosedRange<UInt64>, epoch: UInt64 = 5) -> [LogRecord] {
        range.map { LogRecord(position: position($0, epoch), operation: .delete([])) }
    }

    @Test func olderEpochsAreRefusedAndNewerOnesLookedUp() {
        #expect(
            BackupRole.admit(epoch: Epoch(4), record: record, node: NodeID(2))
                == .refuse(.staleEpoch(current: Epoch(5))))
        #expect(BackupRole.admit(epoch: Epoch(5), record: record, node: NodeID(2)) == .accept)
        #expect(BackupRole.admit(epoch: Epoch(6), record: record, node: NodeID(2)) == .refreshFirst)
        #expect(
            BackupRole.admit(epoch: Epoch(5), record: record, node: NodeID(3)) == .refuse(.notHosted(record.id)))
        guard case .refuse = BackupRole.admit(epoch: Epoch(5), record: record, node: NodeID(1)) else {
            Issue.record("a primary is nobody's backup")
            return
        }
    }

    @Test func recordsThatAreThereAlreadyAreSkipped() {
        let at = position(10)
        #expect(BackupRole.append(records(11...15), after: at, at: at) == .apply(dropFirst: 0))
        #expect(BackupRole.append(records(8...15), after: position(7), at: at) == .apply(dropFirst: 3))
        #expect(BackupRole.append(records(8...10), after: position(7), at: at) == .apply(dropFirst: 3))
        #expect(BackupRole.append(records(1...3), after: .start, at: .start) == .apply(dropFirst: 0))
    }

    @Test func gapsAndOtherHistoriesAreRefused() {
        let appends = [
            BackupRole.append(records(12...15), after: position(11), at: position(10)),
            // The same sequence, written by another primary.
            BackupRole.append(records(11...15), after: position(10), at: position(10, 4)),
            BackupRole.append(records(8...15), after: position(7), at: position(10, 4)),
            // Records that end before our log does.
            BackupRole.append(records(8...9), after: position(7), at: position(10)),
        ]
        for append in appends {
            guard case .refuse(.invalid) = append else {
                Issue.record("\(append)")
                continue
            }
        }
    }
}

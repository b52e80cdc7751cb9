import DataModel
import Foundation
import Node
import Testing

/// Transfers of snapshots to one replica follow each other, all in the same folder.
final class SnapshotReceiverTests {
    private let root = NSTemporaryDirectory() + "shoal-receiver-\(UUID().uuidString)"
    private var install: SnapshotInstall { SnapshotInstall(folder: root + "/0") }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    private func receiver(_ transfer: UInt64) -> SnapshotReceiver {
        SnapshotReceiver(
            SnapshotOffer(transfer: transfer, position: .start, files: [SnapshotFile(name: "points", bytes: 10)]),
            into: install)
    }

    private var hasFiles: Bool { FileManager.default.fileExists(atPath: install.incomingFolder) }

    @Test func anAbandonedTransferGivesItsRoomBack() async throws {
        let receiver = receiver(1)
        try await receiver.begin()
        #expect(hasFiles)
        await receiver.abandon()
        #expect(!hasFiles)
    }

    @Test func anAbandonedTransferLeavesTheNextOneAlone() async throws {
        let (former, next) = (receiver(1), receiver(2))
        try await former.begin()
        await former.abandon()
        try await next.begin()
        // Its last step fails only now.
        await former.abandon()
        #expect(hasFiles)
    }

    @Test func aTransferThatWasReplacedBeforeItBeganBeginsNoMore() async throws {
        let former = receiver(1)
        await former.abandon()
        await #expect(throws: ShardError.self) { try await former.begin() }
        #expect(!hasFiles)
    }
}

import Coordinator
import DataModel
import Synchronization

/// Snapshots in memory: remembers what it was asked.
final class FakeSnapshots: SnapshotDatabase {
    struct State {
        var recoveries: [(collection: String, location: String, options: RecoveryOptions)] = []
        var uploaded: [UInt8] = []
        var abandoned = 0
    }

    let state = Mutex(State())

    private final class Upload: SnapshotUpload {
        let owner: FakeSnapshots

        init(_ owner: FakeSnapshots) { self.owner = owner }

        func write(_ bytes: [UInt8]) async throws(DatabaseError) { owner.state.withLock { $0.uploaded += bytes } }
        func abandon() async { owner.state.withLock { $0.abandoned += 1 } }
    }

    func create(of scope: SnapshotScope, deadline: Deadline) async throws(DatabaseError) -> SnapshotDescription {
        SnapshotDescription(
            name: "\(scope.collection)-1.snapshot", createdAt: 1_700_000_000, bytes: 1 << 40, checksum: "abc",
            path: "/none")
    }

    func list(_ scope: SnapshotScope) async throws(DatabaseError) -> [SnapshotDescription] { [] }

    func snapshot(_ name: String, of scope: SnapshotScope) async throws(DatabaseError) -> SnapshotDescription {
        throw .snapshotNotFound(name)
    }

    func delete(_ name: String, of scope: SnapshotScope) async throws(DatabaseError) { throw .snapshotNotFound(name) }

    func recover(
        _ collection: String, from location: String, options: RecoveryOptions, deadline: Deadline
    ) async throws(DatabaseError) {
        state.withLock { $0.recoveries.append((collection, location, options)) }
    }

    func beginUpload() async throws(DatabaseError) -> any SnapshotUpload { Upload(self) }

    func recover(
        _ collection: String, from upload: any SnapshotUpload, options: RecoveryOptions, deadline: Deadline
    ) async throws(DatabaseError) {
        state.withLock { $0.recoveries.append((collection, "upload", options)) }
    }
}

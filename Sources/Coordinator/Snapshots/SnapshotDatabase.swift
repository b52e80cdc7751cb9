package import DataModel

/// What a snapshot is of: a whole collection, or one of its shards.
package struct SnapshotScope: Sendable, Hashable {
    package var collection: String
    package var shard: ShardNumber?

    package init(collection: String, shard: ShardNumber? = nil) {
        self.collection = collection
        self.shard = shard
    }
}

/// A snapshot that lies on this node.
package struct SnapshotDescription: Sendable, Equatable {
    package var name: String
    /// Seconds since 1970.
    package var createdAt: Double
    package var bytes: UInt64
    /// SHA-256 of the file, lower-case hexadecimal; nil when it was put there by somebody else.
    package var checksum: String?
    package var path: String

    package init(name: String, createdAt: Double, bytes: UInt64, checksum: String?, path: String) {
        self.name = name
        self.createdAt = createdAt
        self.bytes = bytes
        self.checksum = checksum
        self.path = path
    }
}

/// What wins when a snapshot is recovered into a collection that exists.
package enum SnapshotPriority: String, Sendable, CaseIterable {
    /// The snapshot; no other replica is looked at.
    case noSync = "no_sync"
    /// The snapshot.
    case snapshot
    /// What is there.
    case replica
}

/// How a recovery is to go.
package struct RecoveryOptions: Sendable, Equatable {
    package var priority: SnapshotPriority?
    /// SHA-256 that the file must have, in hexadecimal.
    package var checksum: String?
    /// Sent to the server that a snapshot is fetched from.
    package var apiKey: String?

    package init(priority: SnapshotPriority? = nil, checksum: String? = nil, apiKey: String? = nil) {
        self.priority = priority
        self.checksum = checksum
        self.apiKey = apiKey
    }
}

/// A snapshot on its way in. Whoever begins an upload finishes it by a recovery or abandons it.
package protocol SnapshotUpload: Sendable {
    func write(_ bytes: [UInt8]) async throws(DatabaseError)
    func abandon() async
}

/// The snapshots of this node, made of the whole cluster's data: what `HTTPAPI` speaks to beside `Database`.
package protocol SnapshotDatabase: Sendable {
    /// Writes a snapshot; it is listed when it is whole and on disk.
    func create(of scope: SnapshotScope, deadline: Deadline) async throws(DatabaseError) -> SnapshotDescription

    /// In order of names. None of a collection that is gone but for its snapshots.
    ///
    /// - Throws: `collectionNotFound` when there is neither a collection nor a snapshot of that name.
    func list(_ scope: SnapshotScope) async throws(DatabaseError) -> [SnapshotDescription]

    /// - Throws: `snapshotNotFound`.
    func snapshot(_ name: String, of scope: SnapshotScope) async throws(DatabaseError) -> SnapshotDescription

    /// - Throws: `snapshotNotFound`.
    func delete(_ name: String, of scope: SnapshotScope) async throws(DatabaseError)

    /// Recovers the collection from a `file://` or `http(s)://` location.
    func recover(
        _ collection: String, from location: String, options: RecoveryOptions, deadline: Deadline
    ) async throws(DatabaseError)

    func beginUpload() async throws(DatabaseError) -> any SnapshotUpload

    /// Recovers the collection from what was uploaded, which is gone afterwards.
    func recover(
        _ collection: String, from upload: any SnapshotUpload, options: RecoveryOptions, deadline: Deadline
    ) async throws(DatabaseError)
}

import Cluster
import Coordinator
import DataModel
import Foundation
import Logging

/// Takes snapshots of the cluster's collections into this node's folder, and recovers collections from them.
final class SnapshotLibrary: SnapshotDatabase {
    let folder: SnapshotFolder
    /// Beside its own folder, where `file://` locations may lead.
    let importFolder: String?
    let coordinator: Coordinator
    let logger: Logger

    init(folder: SnapshotFolder, importFolder: String?, coordinator: Coordinator, logger: Logger) {
        self.folder = folder
        self.importFolder = importFolder
        self.coordinator = coordinator
        self.logger = logger
    }

    // MARK: - Taking

    func create(of scope: SnapshotScope, deadline: Deadline) async throws(DatabaseError) -> SnapshotDescription {
        let (config, all) = try await coordinator.snapshotSource(of: scope.collection)
        let shards = all.filter { scope.shard == nil || $0.id.number == scope.shard }
        if let shard = scope.shard, shards.isEmpty {
            throw .invalid(reason: "shard: collection \(scope.collection) has no shard \(shard)")
        }
        let file = try storing { () throws(FileError) in try folder.partial() }
        do throws(DatabaseError) {
            let archive = SnapshotArchiveWriter(file: file)
            var manifest = SnapshotManifest(collection: scope.collection, config: config)
            for record in shards {
                // A failed attempt with another replica may have written a part.
                let mark = await file.mark
                let (position, files) = try await coordinator.withCopy(
                    of: record.id, collection: scope.collection, deadline: deadline
                ) { (copy) throws(ShardError) in
                    do throws(FileError) { try await file.rewind(to: mark) } catch { throw ShardError(error) }
                    return (copy.copy.offer.position, try await archive.append(copy, deadline: deadline))
                }
                manifest.shards.append(
                    .init(
                        number: record.id.number, virtualShards: record.virtualShards, position: position,
                        files: files))
            }
            let checksum = try await storingAsync { () throws(FileError) in try await archive.finish(manifest) }
            let name = SnapshotFolder.newName(scope)
            let kept = try storing { () throws(FileError) in
                try folder.keep(file, checksum: checksum, as: name, of: scope)
            }
            guard let kept else { throw .internalFailure(reason: "the snapshot \(name) is gone") }
            logger.info("Took snapshot \(name), \(kept.bytes) bytes")
            return kept
        } catch {
            file.remove()
            throw error
        }
    }

    // MARK: - What is there

    func list(_ scope: SnapshotScope) async throws(DatabaseError) -> [SnapshotDescription] {
        if !folder.exists(scope) { _ = try await coordinator.snapshotSource(of: scope.collection) }
        return folder.list(scope)
    }

    func snapshot(_ name: String, of scope: SnapshotScope) async throws(DatabaseError) -> SnapshotDescription {
        guard let found = folder.snapshot(name, of: scope) else { throw .snapshotNotFound(name) }
        return found
    }

    func delete(_ name: String, of scope: SnapshotScope) async throws(DatabaseError) {
        guard try storing({ () throws(FileError) in try folder.delete(name, of: scope) }) else {
            throw .snapshotNotFound(name)
        }
        logger.info("Deleted snapshot \(name)")
    }
}

/// Runs `body`, whose failures are those of this node's disk.
func storing<Value>(_ body: () throws(FileError) -> Value) throws(DatabaseError) -> Value {
    do throws(FileError) { return try body() } catch { throw DatabaseError(error) }
}

/// The same for work that takes a while.
func storingAsync<Value: Sendable>(
    _ body: () async throws(FileError) -> Value
) async throws(DatabaseError) -> Value {
    do throws(FileError) { return try await body() } catch { throw DatabaseError(error) }
}

extension DatabaseError {
    fileprivate init(_ error: FileError) {
        self =
            error.isOutOfSpace
            ? .outOfSpace(reason: error.description) : .internalFailure(reason: error.description)
    }
}

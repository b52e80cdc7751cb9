package import DataModel
internal import Synchronization
internal import Dispatch
internal import Foundation
internal import LMDB

extension Shard {
    /// Copies both environments, the graphs included, while reads and writes go on: `folder` then is a shard of its own.
    ///
    /// The files are `data.mdb` in the folders that `snapshotFolder` names, without free pages. The index is copied first:
    /// it then holds no row that the copied points lack.
    ///
    /// - Returns: the last write that the copy holds, and the files by the names `points` and `index`.
    /// - Throws: `outOfSpace` or `storage`; the folder may then hold a part.
    package func copySnapshot(
        to folder: String
    ) async throws(ShardError) -> (position: LogPosition, files: [SnapshotFile]) {
        // Not on a search thread: a copy takes as long as the disk does.
        let result: Result<(LogPosition, [SnapshotFile]), ShardError> = await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(
                    returning: Result { () throws(ShardError) in try storing { try self.copyFiles(to: folder) } })
            }
        }
        let (position, files) = try result.get()
        return (position, files)
    }

    private func copyFiles(to folder: String) throws -> (LogPosition, [SnapshotFile]) {
        let generation = generation
        guard !isClosed.load(ordering: .acquiring) else { throw ShardError.notServing(reason: "the shard is closed") }
        // Behind a checkpoint that runs: what that one stores is not in the files before it ends.
        generation.checkpointAll()
        var files: [SnapshotFile] = []
        for (name, environment) in [("index", generation.index.environment), ("points", generation.store.environment)] {
            let target = Self.snapshotFolder(name, in: folder)
            try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
            try environment.copy(to: target)
            let attributes = try FileManager.default.attributesOfItem(atPath: target + "/data.mdb")
            files.append(SnapshotFile(name: name, bytes: (attributes[.size] as? NSNumber)?.uint64Value ?? 0))
        }
        let copy = try PointStore(folder: Self.snapshotFolder("points", in: folder), options: options)
        let position = try copy.environment.read { try copy.loadState($0).position }
        return (position, files)
    }
}

package import DataModel
internal import Foundation
internal import LMDB

extension Shard {
    /// Whether there is a shard in the folder.
    package static func exists(folder: String) -> Bool {
        guard let current = GenerationFiles.current(in: folder) else { return false }
        return FileManager.default.fileExists(atPath: current.points + "/data.mdb")
    }

    /// The folder of the file `data.mdb` that is `name` (`points` or `index`) in a snapshot, within a folder that is to
    /// become a shard's.
    package static func snapshotFolder(_ name: String, in folder: String) -> String {
        "\(GenerationFiles(shard: folder, number: GenerationFiles.first).folder)/\(name)"
    }

    /// Whether a shard in the folder is open in this process, or a closed one is still in use by searches: its files must
    /// not be replaced by others under the same path before.
    package static func isOpen(folder: String) -> Bool { GenerationFiles.all(in: folder).contains(where: \.isOpen) }

    /// Removes a shard's files. The shard must be closed.
    package static func destroy(folder: String) throws(ShardError) {
        try storing {
            if FileManager.default.fileExists(atPath: folder) { try FileManager.default.removeItem(atPath: folder) }
        }
    }
}

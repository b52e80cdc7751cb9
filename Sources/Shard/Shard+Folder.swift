internal import LMDB

extension Shard {
    /// Whether a shard in the folder is open in this process, or a closed one is still in use by searches: its files must
    /// not be replaced by others under the same path before.
    package static func isOpen(folder: String) -> Bool {
        Environment.isOpen(folder + "/points") || Environment.isOpen(folder + "/index")
    }
}

import DataModel

/// A node's data on disk.
///
/// ```
/// <data>/node.json                                     whose folder this is
/// <data>/incarnation                                   the processes that had it last
/// <data>/collections/<collection id>/<shard>/          a replica: generation-<n>/{points,index}/data.mdb
/// <data>/collections/<collection id>/<shard>.incoming/ a snapshot being received
/// <data>/collections/<collection id>/<shard>.old/      what a received snapshot has replaced
/// <data>/collections/<collection id>/<shard>.damaged/  a damaged replica, until it is healed
/// <data>/transfers/<transfer>/                         snapshots being sent
/// <data>/snapshots/                                    what clients took, unless another folder is set
/// ```
struct DataFolder: Sendable {
    let path: String

    var identityFile: String { "\(path)/node.json" }
    var collections: String { "\(path)/collections" }
    var transfers: String { "\(path)/transfers" }
    var snapshots: String { "\(path)/snapshots" }

    func replica(_ shard: ShardID) -> String { "\(collections)/\(shard.collection)/\(shard.number)" }
    func damagedReplica(_ shard: ShardID) -> String { replica(shard) + ".damaged" }
    func transfer(_ id: UInt64) -> String { "\(transfers)/\(String(id, radix: 16))" }

    /// The replicas that have anything on disk, whole or in pieces.
    func replicas() -> Set<ShardID> {
        var found: Set<ShardID> = []
        for collection in Files.names(in: collections) {
            for name in Files.names(in: "\(collections)/\(collection)") {
                guard let number = name.split(separator: ".").first.flatMap({ UInt32($0) }) else { continue }
                found.insert(ShardID(collection: CollectionID(collection), number: ShardNumber(number)))
            }
        }
        return found
    }

    /// Keeps the files of a damaged replica under another name, in the place of those of an earlier one.
    func setReplicaAside(_ shard: ShardID) throws(FileError) {
        guard Files.exists(replica(shard)) else { return }
        try Files.remove(damagedReplica(shard))
        try Files.rename(replica(shard), to: damagedReplica(shard))
    }

    /// Removes all that is there of the replica, and the collection's folder with its last one.
    func removeReplica(_ shard: ShardID) throws(FileError) {
        let folder = replica(shard)
        for suffix in ["", SnapshotInstall.incoming, SnapshotInstall.old] { try Files.remove(folder + suffix) }
        try Files.remove(damagedReplica(shard))
        let collection = "\(collections)/\(shard.collection)"
        if Files.names(in: collection).isEmpty { try Files.remove(collection) }
    }
}

import DataModel

/// Replicas in a data folder of an earlier time, which was put in the place of a newer one: a restored backup, the disk
/// of a machine that was replaced. What they lack was acknowledged, and the records still say that they have it.
///
/// A mark in each replica's folder outlives the process. A marked replica does not serve as one in sync: with another
/// one that is, it leaves the set and is filled anew, as a damaged one is (`LocalReplica+Healing`). One that the records
/// know to be behind catches up as ever.
enum OutdatedFiles {
    private static let mark = "outdated"

    static func markReplicas(in folder: DataFolder) throws(FileError) {
        for shard in folder.replicas() where Files.exists(folder.replica(shard)) {
            try Files.write([], to: markFile(folder.replica(shard)))
        }
    }

    static func isMarked(_ replica: String) -> Bool { Files.exists(markFile(replica)) }

    /// To be called when the replica is known to be behind.
    static func removeMark(_ replica: String) throws(FileError) { try Files.remove(markFile(replica)) }

    /// What an operator is told who has no other replica in sync.
    static func reason(_ replica: String) -> String {
        "\(replica) is of an earlier time than what this node had last, and lacks acknowledged writes: put the newest "
            + "files back, or remove \(markFile(replica)) and start the node again to go on without those writes"
    }

    private static func markFile(_ replica: String) -> String { "\(replica)/\(mark)" }
}

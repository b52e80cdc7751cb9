import DataModel
import Foundation

/// Whose data folder this is: `<data>/node.json`, written once.
struct DataFolderIdentity: Codable, Equatable {
    static let formatVersion = 1

    var nodeID: NodeID
    var clusterID: String
    var formatVersion: Int

    /// The identity that an earlier start left, or nil in a new folder.
    ///
    /// - Throws: `NodeError.dataFolder` when there is one that cannot be read.
    static func read(_ folder: DataFolder) throws(NodeError) -> DataFolderIdentity? {
        guard Files.exists(folder.identityFile) else { return nil }
        guard let bytes = Files.read(folder.identityFile),
            let found = try? JSONDecoder().decode(DataFolderIdentity.self, from: Data(bytes))
        else {
            throw .dataFolder(reason: "\(folder.identityFile) is not a node's identity, or cannot be read")
        }
        return found
    }

    /// Checks the folder's identity, or writes it when the folder is new.
    ///
    /// - Throws: `NodeError.foreignDataFolder` when the folder belongs to another node or cluster, or was written by a
    ///   newer version; `NodeError.dataFolder` when it cannot be read or written.
    static func check(_ folder: DataFolder, node: NodeID, cluster: String) throws(NodeError) {
        do {
            try Files.createFolder(folder.path)
        } catch {
            throw .dataFolder(reason: error.description)
        }
        guard let found = try read(folder) else {
            return try write(
                DataFolderIdentity(nodeID: node, clusterID: cluster, formatVersion: formatVersion), to: folder)
        }
        if found.formatVersion > formatVersion {
            throw .foreignDataFolder(
                reason: "\(folder.path) has format \(found.formatVersion), this version reads up to \(formatVersion): "
                    + "start a newer version on it")
        }
        if found.nodeID != node {
            throw .foreignDataFolder(
                reason: "\(folder.path) belongs to node \(found.nodeID), not to node \(node): "
                    + "give each node a data folder of its own")
        }
        if found.clusterID != cluster {
            throw .foreignDataFolder(
                reason:
                    "\(folder.path) belongs to cluster \(found.clusterID), and the control store is that of cluster "
                    + "\(cluster): start the node with its own control store, or with an empty data folder")
        }
    }

    private static func write(_ identity: DataFolderIdentity, to folder: DataFolder) throws(NodeError) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try Files.write(Array(try encoder.encode(identity)), to: folder.identityFile)
        } catch {
            throw .dataFolder(reason: "\(folder.identityFile): \(error)")
        }
    }
}

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
import Node

/// The replicas in the data folder of a node that does not run.
struct OfflineShards {
    /// By `<collection id>/<number>`, in order.
    let folders: [(name: String, path: String)]

    /// - Throws: `StartError` when a node runs on the folder, or there are no replicas in it.
    init(nodeFolder: String, only wanted: String?) throws {
        let collections = nodeFolder + "/collections"
        let names = { (path: String) in
            ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
        }
        let all = names(collections).flatMap { collection in
            names("\(collections)/\(collection)").filter { UInt32($0) != nil }.map { "\(collection)/\($0)" }
        }
        let chosen = all.filter { wanted == nil || $0 == wanted }
        guard !chosen.isEmpty else {
            throw StartError("there is no shard \(wanted ?? "") in \(nodeFolder); give a node's data folder")
        }
        guard !DataFolderUse.isInUse(nodeFolder) else {
            throw StartError("a node runs on \(nodeFolder): stop it, or use `shoal cluster verify`")
        }
        folders = chosen.map { ($0, "\(collections)/\($0)") }
    }
}

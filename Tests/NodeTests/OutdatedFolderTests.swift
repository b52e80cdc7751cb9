import Coordinator
import DataModel
import Foundation
import Testing

/// A data folder that was copied aside, and put back after the node had gone on: what was acknowledged in between must
/// neither be lost nor missed in an answer.
@Suite(.serialized, .timeLimit(.minutes(1)))
struct OutdatedFolderTests {
    private let node = NodeID(1)

    /// Points 1 to 100 are in the copy, 101 to 200 were written since.
    private func clusterWithAnOldFolder(_ cluster: TestCluster, copies: Int) async throws {
        try await cluster[1].createCollection("points", config: .small(copies: copies), deadline: .soon)
        _ = try await cluster[1].upsert(points(1...100), into: "points", deadline: .soon)
        let nodes = cluster.nodes
        let (folder, copy) = (cluster.folder(of: node), cluster.root + "/copy")
        await cluster.killAll()
        try FileManager.default.copyItem(atPath: folder, toPath: copy)
        for id in nodes { try await cluster.start(id) }
        // What the others lack would be lost with the newest folder.
        try await cluster.waitUntilInSync()
        _ = try await cluster[1].upsert(points(101...200), into: "points", deadline: .soon)
        await cluster.killAll()
        try FileManager.default.removeItem(atPath: folder)
        try FileManager.default.moveItem(atPath: copy, toPath: folder)
        // The one with the old folder first: it must not serve by what it has.
        for id in nodes { try await cluster.start(id) }
    }

    @Test func aFolderOfAnEarlierTimeIsFilledAnewFromTheReplicasInSync() async throws {
        try await TestCluster.with(nodes: 2) { cluster in
            try await clusterWithAnOldFolder(cluster, copies: 2)
            var counted: UInt64?
            try await eventually("the other replicas answer") {
                counted = try? await cluster[1].count(nil, in: "points", deadline: .soon)
                return counted != nil
            }
            #expect(counted == 200)
            try await cluster.waitUntilInSync()
            try await cluster.expectEqualReplicas(ids: Set(1...200), copies: 2)
            // It is not outdated any more.
            await cluster.killAll()
            for id in [node, NodeID(2)] { try await cluster.start(id) }
            try await cluster.waitUntilInSync()
            try await cluster.expectEqualReplicas(ids: Set(1...200), copies: 2)
        }
    }

    @Test func withoutAnotherReplicaItServesNothingAndSaysWhatToDo() async throws {
        try await TestCluster.with(nodes: 1) { cluster in
            try await clusterWithAnOldFolder(cluster, copies: 1)
            var told = ""
            do {
                _ = try await cluster[1].count(nil, in: "points", deadline: .after(.seconds(1)))
            } catch {
                told = "\(error)"
            }
            #expect(told.contains("earlier time") && told.contains("put the newest files back"), "\(told)")
            // As it says: on without what is lost.
            await cluster.killAll()
            for shard in try FileManager.default.subpathsOfDirectory(atPath: cluster.folder(of: node))
            where shard.hasSuffix("/outdated") {
                try FileManager.default.removeItem(atPath: "\(cluster.folder(of: node))/\(shard)")
            }
            try await cluster.start(node)
            #expect(try await cluster[1].count(nil, in: "points", deadline: .soon) == 100)
        }
    }
}

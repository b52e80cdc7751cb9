import Coordinator
import DataModel
import Foundation
import Shard
import Synchronization
import Testing

@Suite(.serialized, .timeLimit(.minutes(2)))
struct NodeClusterTests {
    @Test func whatOneNodeTookEveryNodeReturns() async throws {
        try await TestCluster.with { cluster in
            try await cluster[1].createCollection("points", config: .small(), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...200), into: "points", deadline: .soon)
            _ = try await cluster[2].delete([.number(7)], from: "points", deadline: .soon)
            for node in cluster.nodes {
                let database = try cluster[node.rawValue]
                #expect(try await database.count(nil, in: "points", deadline: .soon) == 199)
                let found = try await database.query(
                    [Query(target: .vector(vector(42)), limit: 3, withPayload: true)], in: "points", deadline: .soon)
                #expect(found[0].points.first?.record.id == .number(42))
                #expect(found[0].points.first?.score == 0)
                let records = try await database.retrieve(
                    RetrieveRequest(ids: [.number(9), .number(7), .number(3)], withPayload: true, withVectors: .all),
                    from: "points", deadline: .soon)
                #expect(records.map(\.id) == [.number(9), .number(3)])
                #expect(records[0].vectors?[""] == vector(9))
            }
            try await cluster.expectEqualReplicas(ids: Set(1...200).subtracting([7]), copies: 2)
        }
    }

    @Test func deletedCollectionLeavesNothingAndItsNameIsFree() async throws {
        try await TestCluster.with { cluster in
            try await cluster[1].createCollection("points", config: .small(), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...10), into: "points", deadline: .soon)
            let id = try await cluster[1].collection("points", deadline: .soon).id
            #expect(try await cluster[2].deleteCollection("points", deadline: .soon))
            #expect(try await cluster[3].deleteCollection("points", deadline: .soon) == false)
            await #expect(throws: DatabaseError.collectionNotFound("points")) {
                try await cluster[1].count(nil, in: "points", deadline: .soon)
            }
            try await cluster[3].createCollection("points", config: .small(), deadline: .soon)
            #expect(try await cluster[1].count(nil, in: "points", deadline: .soon) == 0)
            try await eventually("the folders are gone") {
                cluster.nodes.allSatisfy { node in
                    !FileManager.default.fileExists(atPath: "\(cluster.folder(of: node))/collections/\(id)")
                }
            }
        }
    }

    @Test func replicationFactorBeyondTheLiveNodesIsRefusedByName() async throws {
        try await TestCluster.with(nodes: 1) { cluster in
            await #expect {
                try await cluster[1].createCollection("points", config: .small(copies: 2), deadline: .soon)
            } throws: { error in
                guard case DatabaseError.invalid(let reason) = error else { return false }
                return reason.contains("replication_factor")
            }
        }
    }

    @Test func everythingIsThereAfterAllNodesRestarted() async throws {
        try await TestCluster.with { cluster in
            try await cluster[1].createCollection("points", config: .small(), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...300), into: "points", deadline: .soon)
            let nodes = cluster.nodes
            await cluster.stopAll()
            for node in nodes { try await cluster.start(node) }
            #expect(try await cluster[2].count(nil, in: "points", deadline: .soon) == 300)
            _ = try await cluster[3].upsert(points(301...310), into: "points", deadline: .soon)
            try await cluster.waitUntilInSync()
            try await cluster.expectEqualReplicas(ids: Set(1...310), copies: 2)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt32])
    func killedNodeIsReplacedAndCatchesUpFromTheLog(victim: UInt32) async throws {
        try await TestCluster.with { cluster in
            try await cluster[1].createCollection("points", config: .small(), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...100), into: "points", deadline: .soon)
            await cluster.kill(NodeID(victim))
            // Both go on with what is left, by themselves.
            #expect(try await cluster.any.count(nil, in: "points", deadline: .soon) == 100)
            _ = try await cluster.any.upsert(points(101...200), into: "points", deadline: .soon)
            _ = try await cluster.any.upsert(points(1...50, round: 1), into: "points", deadline: .soon)
            #expect(try await cluster.any.count(nil, in: "points", deadline: .soon) == 200)
            try await cluster.start(NodeID(victim))
            try await cluster.waitUntilInSync()
            try await cluster.expectEqualReplicas(ids: Set(1...200), copies: 2)
        }
    }

    @Test func nodeThatTheLogDoesNotReachBackToGetsASnapshot() async throws {
        let options = ShardOptions(
            pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30, retainedLogBytes: 4_096, maximumPinnedLogBytes: 8_192)
        try await TestCluster.with(shardOptions: options) { cluster in
            try await cluster[1].createCollection("points", config: .small(shards: 1), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...100), into: "points", deadline: .soon)
            let replicas = try await cluster.table().shards[0].replicas
            let victim = try #require(replicas.first { !$0.isPrimary }?.node)
            await cluster.kill(victim)
            // Many small writes over several vector blocks, so that the log is trimmed.
            for start in stride(from: UInt64(101), to: 2_101, by: 20) {
                _ = try await cluster.any.upsert(points(start..<start + 20), into: "points", deadline: .soon)
            }
            try await cluster.start(victim)
            try await cluster.waitUntilInSync()
            try await cluster.expectEqualReplicas(ids: Set(1...2_100), copies: 2)
            // What came as a snapshot goes on from the log.
            _ = try await cluster.any.upsert(points(3_000...3_010), into: "points", deadline: .soon)
            try await cluster.expectEqualReplicas(ids: Set(1...2_100).union(3_000...3_010), copies: 2)
        }
    }

    @Test func replicaIsMovedWhileWritersGoOn() async throws {
        try await TestCluster.with { cluster in
            try await cluster[1].createCollection("points", config: .small(shards: 1), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...500), into: "points", deadline: .soon)
            let replicas = try await cluster.table().shards[0].replicas
            let from = try #require(replicas.first { $0.isPrimary }?.node)
            let to = try #require(cluster.nodes.first { node in !replicas.contains { $0.node == node } })
            let database = try cluster.any
            let isDone = Atomic(false)
            async let written: UInt64 = {
                var next: UInt64 = 1_000
                while !isDone.load(ordering: .relaxed) {
                    _ = try await database.upsert(points(next..<next + 5), into: "points", deadline: .soon)
                    next += 5
                }
                return next
            }()
            let operation = try await database.move(
                MoveRequest(collection: "points", shard: ShardNumber(0), from: from, to: to), deadline: .soon)
            try await eventually("the move is done") {
                let status = try await database.operations().first { $0.id == operation.id }
                try #require(status?.state != .failed, "\(status?.detail ?? "")")
                return status?.state == .done
            }
            isDone.store(true, ordering: .relaxed)
            let end = try await written
            let after = try await cluster.table().shards[0].replicas
            #expect(Set(after.map(\.node)) == Set(replicas.map(\.node)).subtracting([from]).union([to]))
            try await cluster.waitUntilInSync()
            try await cluster.expectEqualReplicas(ids: Set(1...500).union(1_000..<end), copies: 2)
            try await eventually("the old replica's files are gone") {
                let folder = "\(cluster.folder(of: from))/collections"
                let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
                return names.isEmpty
            }
        }
    }

    @Test func stoppedNodeHandsItsPrimariesOver() async throws {
        try await TestCluster.with { cluster in
            try await cluster[1].createCollection("points", config: .small(), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...50), into: "points", deadline: .soon)
            await cluster.stop(NodeID(2))
            let table = try await cluster.table()
            #expect(
                table.shards.allSatisfy { shard in shard.replicas.contains { $0.isPrimary && $0.node != NodeID(2) } })
            _ = try await cluster.any.upsert(points(51...60), into: "points", deadline: .soon)
            #expect(try await cluster.any.count(nil, in: "points", deadline: .soon) == 60)
        }
    }

    @Test func inSyncReplicaWhoseFilesAreGoneServesNothingAndIsFilledAnew() async throws {
        try await TestCluster.with { cluster in
            try await cluster[1].createCollection("points", config: .small(), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...100), into: "points", deadline: .soon)
            let nodes = cluster.nodes
            await cluster.killAll()
            try FileManager.default.removeItem(atPath: "\(cluster.folder(of: NodeID(2)))/collections")
            for node in nodes { try await cluster.start(node) }
            for node in nodes {
                #expect(try await cluster[node.rawValue].count(nil, in: "points", deadline: .soon) == 100)
            }
            try await cluster.waitUntilInSync()
            try await cluster.expectEqualReplicas(ids: Set(1...100), copies: 2)
        }
    }

    @Test func lastReplicaWhoseFilesAreGoneIsNeverPassedOffAsEmpty() async throws {
        try await TestCluster.with(nodes: 1) { cluster in
            try await cluster[1].createCollection("points", config: .small(shards: 1, copies: 1), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...10), into: "points", deadline: .soon)
            await cluster.stopAll()
            try FileManager.default.removeItem(atPath: "\(cluster.folder(of: NodeID(1)))/collections")
            try await cluster.start(NodeID(1))
            await #expect {
                _ = try await cluster[1].count(nil, in: "points", deadline: .after(.seconds(1)))
            } throws: { error in
                guard case DatabaseError.unavailable(let reason) = error else { return false }
                return reason.contains("shard 0") && reason.contains("gone")
            }
        }
    }

    @Test func writesNeedTheConsistencyFactor() async throws {
        try await TestCluster.with(nodes: 2) { cluster in
            try await cluster[1].createCollection(
                "points", config: .small(shards: 1, minimum: 2), deadline: .soon)
            _ = try await cluster[1].upsert(points(1...10), into: "points", deadline: .soon)
            await cluster.kill(NodeID(2))
            await #expect {
                _ = try await cluster[1].upsert(points(11...12), into: "points", deadline: .soon)
            } throws: { error in
                guard case DatabaseError.unavailable(let reason) = error else { return false }
                return reason.contains("consistency factor")
            }
            #expect(try await cluster[1].count(nil, in: "points", deadline: .soon) >= 10)
            try await cluster.start(NodeID(2))
            try await cluster.waitUntilInSync()
            _ = try await cluster[1].upsert(points(11...12), into: "points", deadline: .soon)
            #expect(try await cluster[2].count(nil, in: "points", deadline: .soon) == 12)
        }
    }

    /// The write is done, and the answer lost; somebody else writes; the client sends it again, through another node,
    /// when its primary is dead.
    @Test func aNamedWriteIsDoneOnceAcrossAFailoverAndARestart() async throws {
        try await TestCluster.with { cluster in
            try await cluster[1].createCollection("points", config: .small(shards: 1), deadline: .soon)
            let write = WriteRequest(.upsert(points(1...5))).named(RequestName("once"))
            let first = try await cluster[1].write(write, to: "points", deadline: .soon)
            let later = try await cluster[2].upsert(points(1...5, round: 1), into: "points", deadline: .soon)
            let primary = try #require(try await cluster.table().shards[0].replicas.first { $0.isPrimary }).node
            await cluster.kill(primary)
            #expect(try await cluster.any.write(write, to: "points", deadline: .soon) == first)
            try await cluster.start(primary)
            try await cluster.waitUntilInSync()
            await cluster.killAll()
            for id in 1...3 { try await cluster.start(NodeID(UInt32(id))) }
            #expect(try await cluster[3].write(write, to: "points", deadline: .soon) == first)
            let records = try await cluster[1].retrieve(
                RetrieveRequest(ids: [.number(3)], withPayload: true, withVectors: .none, isSettled: true),
                from: "points", deadline: .soon)
            #expect(records.map(\.version) == [later])
            await #expect(throws: DatabaseError.self) {
                try await cluster.any.write(
                    WriteRequest(.upsert(points(1...6))).named(RequestName("once")), to: "points", deadline: .soon)
            }
            try await cluster.expectEqualReplicas(ids: Set(1...5), copies: 2)
        }
    }
}

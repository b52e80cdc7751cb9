import Cluster
import Coordinator
import DataModel
import Foundation
import Logging
import Node
import Shard
import Testing

/// Nodes of one cluster in this process: real shards, real RPC on loopback, one control store. Removes its folder.
final class TestCluster {
    let root: String
    var shardOptions = ShardOptions(pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30)
    private var running: [NodeID: (node: Node, store: LMDBControlStore)] = [:]
    private let logger: Logger

    init() throws {
        root = FileManager.default.temporaryDirectory.path + "/shoal-node-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        var logger = Logger(label: "test")
        logger.logLevel = ProcessInfo.processInfo.environment["SHOAL_TEST_LOG"] == nil ? .critical : .debug
        self.logger = logger
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    /// Runs `body` on a started cluster, and stops it whatever happens.
    static func with(
        nodes: Int = 3, shardOptions: ShardOptions? = nil, _ body: (TestCluster) async throws -> Void
    ) async throws {
        let cluster = try TestCluster()
        if let shardOptions { cluster.shardOptions = shardOptions }
        do {
            for id in 1...nodes { try await cluster.start(NodeID(UInt32(id))) }
            try await body(cluster)
        } catch {
            await cluster.stopAll()
            throw error
        }
        await cluster.stopAll()
    }

    func folder(of id: NodeID) -> String { "\(root)/node-\(id)" }

    func start(_ id: NodeID) async throws {
        let store = try LMDBControlStore.open(folder: "\(root)/control", logger: logger)
        let options = NodeOptions(
            id: id, dataFolder: folder(of: id), httpAddress: "127.0.0.1:0", rpcHost: "127.0.0.1", rpcPort: 0,
            shard: shardOptions, searchThreads: 1, indexingThreads: 1)
        let node = Node(options: options, store: store, logger: logger)
        try await node.start()
        running[id] = (node, store)
    }

    /// As `kill -9` would, as far as the others can see.
    func kill(_ id: NodeID) async {
        guard let (node, store) = running.removeValue(forKey: id) else { return }
        store.abandon()
        await node.abandon()
    }

    /// As a power failure would: no node sees another one go.
    func killAll() async {
        let nodes = running
        running = [:]
        for entry in nodes.values { entry.store.abandon() }
        for entry in nodes.values { await entry.node.abandon() }
    }

    func stop(_ id: NodeID) async {
        await running.removeValue(forKey: id)?.node.shutdown()
    }

    func stopAll() async {
        for id in running.keys.sorted() { await stop(id) }
    }

    var nodes: [NodeID] { running.keys.sorted() }

    subscript(_ id: UInt32) -> any Database {
        get throws { try #require(running[NodeID(id)]).node.database }
    }

    /// Any running node's.
    var any: any Database {
        get throws { try #require(running.min { $0.key < $1.key }).value.node.database }
    }

    func table(_ collection: String = "points") async throws -> ShardTable {
        try #require(try await any.shardTables(collection: collection, deadline: .soon).first)
    }

    func waitUntilInSync(_ collection: String = "points", location: SourceLocation = #_sourceLocation) async throws {
        try await eventually("every replica is in sync", location: location) {
            try await self.table(collection).shards.allSatisfy { $0.replicas.allSatisfy { $0.state == .inSync } }
        }
    }

    /// Every point of the collection as the replicas of one node hold it.
    func points(on node: NodeID, of collection: String = "points") async throws -> [PointID: Record] {
        var found: [PointID: Record] = [:]
        var start: PointID?
        repeat {
            let page = try await any.scroll(
                ScrollRequest(start: start, limit: 500, withPayload: true, withVectors: .all), through: collection,
                replica: node, deadline: .soon)
            for record in page.records { found[record.id] = record }
            start = page.next
        } while start != nil
        return found
    }

    /// Checks that each id is on `copies` nodes, everywhere the same.
    func expectEqualReplicas(
        ids: Set<UInt64>, copies: Int, collection: String = "points", location: SourceLocation = #_sourceLocation
    ) async throws {
        var counts: [PointID: Int] = [:]
        var seen: [PointID: Record] = [:]
        for node in nodes {
            for (id, record) in try await points(on: node, of: collection) {
                counts[id, default: 0] += 1
                if let other = seen[id] { #expect(other == record, sourceLocation: location) }
                seen[id] = record
            }
        }
        #expect(Set(counts.keys) == Set(ids.map { .number($0) }), sourceLocation: location)
        #expect(counts.values.allSatisfy { $0 == copies }, sourceLocation: location)
    }
}

extension Deadline {
    static var soon: Deadline { .after(.seconds(30)) }
}

/// Polls until the condition holds; fails the test when it does not within half a minute.
func eventually(
    _ what: Comment, location: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let deadline = Deadline.after(.seconds(30))
    while !(try await condition()) {
        try #require(!deadline.isPast, what, sourceLocation: location)
        try await Task.sleep(for: .milliseconds(20))
    }
}

extension CollectionConfig {
    static func small(shards: Int = 3, copies: Int = 2, minimum: Int = 1) -> CollectionConfig {
        CollectionConfig(
            spaces: [VectorSpace(name: "", dimension: 8, distance: .euclid)], virtualShards: 16,
            physicalShards: shards, replicationFactor: copies, writeConsistencyFactor: minimum)
    }
}

/// Points whose vectors and payloads follow from their ids.
func points(_ ids: some Sequence<UInt64>, round: Int = 0) -> [Point] {
    ids.map { id in
        Point(
            id: .number(id), vectors: NamedVectors(vector(id, round: round)),
            payload: Payload(json: Array(#"{"id":\#(id),"round":\#(round)}"#.utf8)))
    }
}

func vector(_ id: UInt64, round: Int = 0) -> [Float] {
    (0..<8).map { Float((id &* 31 &+ UInt64($0) &* 17 &+ UInt64(round)) % 101) }
}

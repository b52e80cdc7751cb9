import Cluster
import Coordinator
import DataModel
import Foundation
import Logging
import Testing

/// A coordinator on node 1 of three, over fake replicas and a real control store.
final class Fixture: Sendable {
    let folder: String
    let store: LMDBControlStore
    let cache: ClusterStateCache
    let shards = FakeShards()
    let coordinator: Coordinator

    init() async throws {
        folder = FileManager.default.temporaryDirectory.path + "/shoal-coordinator-\(UUID().uuidString)"
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        store = try LMDBControlStore.open(folder: folder, logger: logger)
        cache = ClusterStateCache(store: store, logger: logger)
        try await cache.load()
        coordinator = Coordinator(node: NodeID(1), cache: cache, router: shards, logger: logger)
        for id: UInt32 in 1...3 {
            let node = NodeID(id)
            try await store.put(
                ControlKey.node(node),
                value: NodeRecord(id: node, httpAddress: "h:\(id)", rpcHost: "h", rpcPort: Int(id)).encoded)
            try await store.put(
                ControlKey.live(node), value: NodeLiveness(id: node, incarnation: 1, pid: 1, startedAt: 0).encoded)
        }
    }

    deinit {
        store.abandon()
        try? FileManager.default.removeItem(atPath: folder)
    }

    @discardableResult
    func create(
        _ spaces: [VectorSpace] = [VectorSpace(name: "", dimension: 4, distance: .euclid)], shards: Int = 3,
        copies: Int = 2
    ) async throws -> CollectionID {
        try await coordinator.createCollection(
            "c",
            config: CollectionConfig(
                spaces: spaces, virtualShards: 32, physicalShards: shards, replicationFactor: copies),
            deadline: .soon)
        return try await coordinator.collection("c", deadline: .soon).id
    }

    /// The node's lease ends.
    func die(_ node: UInt32) async throws {
        _ = try await store.transaction(guards: [], mutations: [.delete(key: ControlKey.live(NodeID(node)))])
        try await cache.refreshIfStale()
    }

    /// The only shard of `c`.
    func shard() throws -> ShardRecord {
        try #require(cache.current.routing(of: "c")?.shards.first?.value)
    }

    /// Changes the only shard's record, as a primary or the controller does.
    func change(_ body: (inout ShardRecord) -> Void) async throws {
        try await cache.refreshIfStale()
        var record = try shard()
        body(&record)
        record.epoch = record.epoch.next
        try await store.put(ControlKey.shard(record.id), value: record.encoded)
    }
}

extension Deadline {
    static var soon: Deadline { .after(.seconds(50)) }
}

func point(_ id: PointID, _ vector: [Float] = [0, 0, 0, 0]) -> Point {
    Point(id: id, vectors: NamedVectors(vector), payload: .empty)
}

func hit(_ id: UInt64, _ score: Float) -> ScoredPoint {
    ScoredPoint(
        record: Record(id: .number(id), version: SequenceNumber(1), payload: nil, vectors: nil), score: score)
}

/// Whether the error is the given case and its reason holds every word.
func isError(_ error: any Error, _ matches: (DatabaseError) -> String?, _ words: String...) -> Bool {
    guard let error = error as? DatabaseError, let reason = matches(error) else { return false }
    return words.allSatisfy { reason.contains($0) }
}

let invalid: @Sendable (DatabaseError) -> String? = { if case .invalid(let reason) = $0 { reason } else { nil } }
let unavailable: @Sendable (DatabaseError) -> String? = {
    if case .unavailable(let reason) = $0 { reason } else { nil }
}
let late: @Sendable (DatabaseError) -> String? = { if case .deadlineExceeded(let reason) = $0 { reason } else { nil } }

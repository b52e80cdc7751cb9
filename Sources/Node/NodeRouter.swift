import Cluster
import Coordinator
import DataModel
import RPC
import Synchronization

/// Finds replicas for the coordinator and for primaries: on this node directly, elsewhere over RPC.
struct NodeRouter: ShardRouter {
    let node: NodeID
    let replicas: HostedReplicas
    let peers: Peers

    func service(for shard: ShardID, on target: NodeID) -> any ShardService {
        if target == node { return LocalShard(id: shard, replicas: replicas) }
        guard let peer = peers.peer(target) else { return UnknownNode(node: target) }
        return peer.shard(shard)
    }

    func replica(of shard: ShardID, on target: NodeID) -> any ReplicaService {
        target == node ? LocalShard(id: shard, replicas: replicas) : peers.backup(of: shard, on: target)
    }
}

/// Lets replicas of this node ask others, on this node too, without holding them.
final class ReplicaDirectory: Sendable {
    private struct Hosted: @unchecked Sendable {
        // Sendable: read and written under the lock only.
        weak var replicas: HostedReplicas?
    }

    private let node: NodeID
    private let peers: Peers
    private let hosted = Mutex(Hosted())

    init(node: NodeID, peers: Peers) {
        self.node = node
        self.peers = peers
    }

    func add(_ replicas: HostedReplicas) { hosted.withLock { $0.replicas = replicas } }

    var replica: @Sendable (ShardID, NodeID) -> any ReplicaService {
        { shard, target in
            guard let replicas = self.hosted.withLock({ $0.replicas }) else {
                return self.peers.backup(of: shard, on: target)
            }
            return NodeRouter(node: self.node, replicas: replicas, peers: self.peers).replica(of: shard, on: target)
        }
    }
}

/// The other nodes at the addresses that they have in the cluster's state.
struct Peers: Sendable {
    let cache: ClusterStateCache
    let pool: PeerPool

    /// Nil when no such node ever joined.
    func peer(_ id: NodeID) -> Peer? {
        guard let record = cache.current.nodes[id]?.value else { return nil }
        return pool.peer(node: id, host: record.rpcHost, port: record.rpcPort)
    }

    func backup(of shard: ShardID, on node: NodeID) -> any ReplicaService {
        guard let peer = peer(node) else { return UnknownNode(node: node) }
        return peer.replica(shard)
    }
}

/// A replica on this node, which may not be there yet.
private struct LocalShard: ShardService, ReplicaService {
    let id: ShardID
    let replicas: HostedReplicas

    func search(
        _ searches: [SearchRequest], context: RequestContext
    ) async throws(ShardError) -> [SearchAnswer] {
        try await replicas.replica(on: id).search(searches, context: context)
    }

    func retrieve(_ request: RetrieveRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await replicas.replica(on: id).retrieve(request, context: context)
    }

    func scroll(_ request: ScrollRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await replicas.replica(on: id).scroll(request, context: context)
    }

    func count(_ filter: Filter?, context: RequestContext) async throws(ShardError) -> UInt64 {
        try await replicas.replica(on: id).count(filter, context: context)
    }

    func write(_ request: WriteRequest, context: RequestContext) async throws(ShardError) -> WriteReceipt {
        try await replicas.replica(on: id).write(request, context: context)
    }

    func status(deadline: Deadline) async throws(ShardError) -> ReplicaStatus {
        try await replicas.replica(on: id).status(deadline: deadline)
    }

    func maintain(_ task: MaintenanceTask, deadline: Deadline) async throws(ShardError) -> MaintenanceResult {
        try await replicas.replica(on: id).maintain(task, deadline: deadline)
    }

    func takeSnapshot(context: RequestContext) async throws(ShardError) -> SnapshotCopy {
        try await replicas.replica(on: id).takeSnapshot(context: context)
    }

    func readSnapshot(_ piece: SnapshotPiece, deadline: Deadline) async throws(ShardError) -> [UInt8] {
        try await replicas.replica(on: id).readSnapshot(piece, deadline: deadline)
    }

    func dropSnapshot(_ transfer: UInt64, deadline: Deadline) async throws(ShardError) {
        try await replicas.replica(on: id).dropSnapshot(transfer, deadline: deadline)
    }

    // MARK: ReplicaService, for a recovery that fills replicas

    func openReplica(context: RequestContext) async throws(ShardError) -> BackupState {
        try await replicas.replica(on: id).openReplica(context: context)
    }

    func replicate(
        _ records: [LogRecord], after previous: LogPosition, context: RequestContext
    ) async throws(ShardError) -> BackupState {
        try await replicas.replica(on: id).replicate(records, after: previous, context: context)
    }

    func digest(
        of ranges: [VirtualShardRange], context: RequestContext
    ) async throws(ShardError) -> ReplicaDigest {
        try await replicas.replica(on: id).digest(of: ranges, context: context)
    }

    func beginSnapshot(_ offer: SnapshotOffer, context: RequestContext) async throws(ShardError) {
        try await replicas.replica(on: id).beginSnapshot(offer, context: context)
    }

    func receiveSnapshot(_ chunk: SnapshotChunk, context: RequestContext) async throws(ShardError) {
        try await replicas.replica(on: id).receiveSnapshot(chunk, context: context)
    }

    func finishSnapshot(
        transfer: UInt64, checksums: [String: UInt64], context: RequestContext
    ) async throws(ShardError) -> BackupState {
        try await replicas.replica(on: id).finishSnapshot(transfer: transfer, checksums: checksums, context: context)
    }

    func links(_ request: LinkRequest, context: RequestContext) async throws(ShardError) -> LinkPage? {
        try await replicas.replica(on: id).links(request, context: context)
    }

    func fill(_ request: FillRequest, context: RequestContext) async throws(ShardError) -> FillAnswer {
        try await replicas.replica(on: id).fill(request, context: context)
    }
}

/// Stands for the replicas of a node whose address nobody knows.
private struct UnknownNode: ShardService, ReplicaService {
    let node: NodeID

    private var failure: ShardError { .unreachable(reason: "node \(node) never joined the cluster") }

    func search(_: [SearchRequest], context: RequestContext) async throws(ShardError) -> [SearchAnswer] {
        throw failure
    }
    func retrieve(_: RetrieveRequest, context: RequestContext) async throws(ShardError) -> [Record] { throw failure }
    func scroll(_: ScrollRequest, context: RequestContext) async throws(ShardError) -> [Record] { throw failure }
    func count(_: Filter?, context: RequestContext) async throws(ShardError) -> UInt64 { throw failure }
    func write(_: WriteRequest, context: RequestContext) async throws(ShardError) -> WriteReceipt { throw failure }
    func status(deadline: Deadline) async throws(ShardError) -> ReplicaStatus { throw failure }
    func openReplica(context: RequestContext) async throws(ShardError) -> BackupState { throw failure }
    func replicate(
        _: [LogRecord], after: LogPosition, context: RequestContext
    ) async throws(ShardError) -> BackupState { throw failure }
    func digest(of: [VirtualShardRange], context: RequestContext) async throws(ShardError) -> ReplicaDigest {
        throw failure
    }
    func beginSnapshot(_: SnapshotOffer, context: RequestContext) async throws(ShardError) { throw failure }
    func receiveSnapshot(_: SnapshotChunk, context: RequestContext) async throws(ShardError) { throw failure }
    func finishSnapshot(
        transfer: UInt64, checksums: [String: UInt64], context: RequestContext
    ) async throws(ShardError) -> BackupState { throw failure }
}

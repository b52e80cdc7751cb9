import Coordinator
import DataModel
import Foundation
import Hummingbird

/// The cluster as the dialect shows it.
struct ClusterRoutes: Sendable {
    let api: API

    func add(to table: RouteTable) {
        table.add("/cluster", [.get: status])
        table.add("/cluster/peer/{peer}", [.delete: removePeer])
        table.add("/collections/{collection}/cluster", [.get: shards, .post: change])
    }

    @Sendable private func status(_ request: Request, _ context: APIContext) async throws -> Response {
        let status = try await api.database.clusterStatus(deadline: try api.deadline(request))
        return try Envelope.ok(context, encoding: DialectClusterStatus(status))
    }

    @Sendable private func shards(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let deadline = try api.deadline(request)
        let tables = try await api.database.shardTables(collection: collection, deadline: deadline)
        guard let table = tables.first else { throw DatabaseError.collectionNotFound(collection) }
        let cluster = try await api.database.clusterStatus(deadline: deadline)
        return try Envelope.ok(
            context,
            encoding: DialectCollectionCluster(table, answeredBy: cluster.answeredBy, operations: cluster.operations))
    }

    @Sendable private func change(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let change = try await api.bodies.json(of: request) { (root) throws(DialectError) in
            try root.shardChange(of: collection)
        }
        let deadline = try api.deadline(request, standard: API.writeTimeout)
        switch change {
        case .begin(let operation):
            _ = try await api.database.begin(operation, maxBytesPerSecond: nil, deadline: deadline)
        case .abort(let shard, let from, let to):
            let open = try await api.database.operations().first { operation in
                (operation.state == .planned || operation.state == .running) && operation.collection == collection
                    && operation.shard == shard && operation.to == to && (operation.from ?? from) == from
            }
            guard let open else {
                throw DatabaseError.invalid(
                    reason: "abort_transfer: shard \(shard) is not being transferred from peer \(from) to peer \(to)")
            }
            _ = try await api.database.cancelOperation(open.id)
        }
        return Envelope.ok(context) { $0.bool(true) }
    }

    /// Forgets a node that holds nothing; with `?force=true` its replicas are first made elsewhere, behind the answer.
    /// Data is not lost by it: a node with the last copy of a shard is refused.
    @Sendable private func removePeer(_ request: Request, _ context: APIContext) async throws -> Response {
        let node = try api.nodeID("peer", context)
        let deadline = try api.deadline(request, standard: API.writeTimeout)
        let cluster = try await api.database.clusterStatus(deadline: deadline)
        let isForced = request.uri.queryParameters["force"] == "true"
        if !isForced, let found = cluster.nodes.first(where: { $0.id == node }), found.replicas > 0 {
            throw DatabaseError.invalid(
                reason: "peer: node \(node) holds \(found.replicas) replicas: drain it first, or ask with force=true")
        }
        let operation = try await api.database.begin(.remove(node), maxBytesPerSecond: nil, deadline: deadline)
        if !isForced { try await waitForEnd(of: operation.id, deadline: deadline) }
        return Envelope.ok(context) { $0.bool(true) }
    }

    private static let pollInterval = Duration.milliseconds(50)

    private func waitForEnd(of id: String, deadline: Deadline) async throws {
        while true {
            let status = try await api.database.operations().first { $0.id == id }
            switch status?.state {
            case .done, nil: return
            case .failed, .cancelled: throw DatabaseError.invalid(reason: status?.detail ?? "")
            case .planned, .running: break
            }
            guard !deadline.isPast else {
                throw DatabaseError.deadlineExceeded(reason: "operation \(id), which removes the node, is not over yet")
            }
            try await Task.sleep(for: Self.pollInterval)
        }
    }
}

extension JSONElement {
    /// A required unsigned 32-bit integer.
    func identifier(_ name: StaticString) throws(DialectError) -> UInt32 {
        guard let value = try integer(name, in: 0...Int(UInt32.max)) else {
            throw DialectError("\(name)", "the field is missing")
        }
        return UInt32(value)
    }
}

// MARK: - Bodies

private struct DialectClusterStatus: Encodable {
    struct Peer: Encodable {
        var uri: String
    }

    /// The dialect's server has a Raft group here; the controller stands for its leader.
    struct RaftInfo: Encodable {
        var term = 0
        var commit = 0
        var pending_operations: Int
        var leader: UInt32?
        var role: String
        var is_voter = true
    }

    struct ConsensusThread: Encodable {
        var consensus_thread_status = "working"
        var last_update: String
    }

    var status = "enabled"
    var peer_id: UInt32
    var peers: [String: Peer]
    var raft_info: RaftInfo
    var consensus_thread_status: ConsensusThread
    var message_send_failures: [String: String] = [:]
    /// The whole truth, beside the dialect's fields.
    var shoal: ClusterStatus

    init(_ status: ClusterStatus) {
        peer_id = status.answeredBy.rawValue
        peers = Dictionary(
            status.nodes.map { (String($0.id.rawValue), Peer(uri: "http://\($0.rpcAddress)/")) },
            uniquingKeysWith: { first, _ in first })
        let leader = status.nodes.first { $0.isController }?.id
        raft_info = RaftInfo(
            pending_operations: status.operations.count { $0.state == .planned || $0.state == .running },
            leader: leader?.rawValue, role: leader == status.answeredBy ? "Leader" : "Follower")
        consensus_thread_status = ConsensusThread(last_update: Date.now.formatted(.iso8601))
        shoal = status
    }
}

private struct DialectCollectionCluster: Encodable {
    struct LocalShard: Encodable {
        var shard_id: UInt32
        var points_count: UInt64
        var state: String
    }

    struct RemoteShard: Encodable {
        var shard_id: UInt32
        var peer_id: UInt32
        var state: String
    }

    struct Transfer: Encodable {
        var shard_id: UInt32
        var from: UInt32
        var to: UInt32
        /// Whether the replica that is sent stays as well.
        var sync: Bool
        var method = "snapshot"
        var comment: String
    }

    var peer_id: UInt32
    var shard_count: Int
    var local_shards: [LocalShard] = []
    var remote_shards: [RemoteShard] = []
    var shard_transfers: [Transfer]

    init(_ table: ShardTable, answeredBy: NodeID, operations: [OperationStatus]) {
        peer_id = answeredBy.rawValue
        let shards = table.shards.filter { !$0.isFilling }
        shard_count = shards.count
        shard_transfers = operations.compactMap { operation in
            guard operation.state == .running, operation.collection == table.collection, let shard = operation.shard,
                let to = operation.to
            else { return nil }
            let primary = table.shards.first { $0.number == shard }?.replicas.first { $0.isPrimary }?.node
            return (operation.from ?? primary).map {
                Transfer(
                    shard_id: shard.rawValue, from: $0.rawValue, to: to.rawValue, sync: operation.kind != "move",
                    comment: operation.detail)
            }
        }
        for shard in shards {
            for replica in shard.replicas {
                let state = Self.name(of: replica.state)
                if replica.node == answeredBy {
                    local_shards.append(
                        LocalShard(shard_id: shard.number.rawValue, points_count: replica.points ?? 0, state: state))
                } else {
                    remote_shards.append(
                        RemoteShard(shard_id: shard.number.rawValue, peer_id: replica.node.rawValue, state: state))
                }
            }
        }
    }

    private static func name(of state: ShardTable.ReplicaState) -> String {
        switch state {
        case .inSync: "Active"
        case .catchingUp: "Partial"
        case .unreachable, .damaged: "Dead"
        }
    }
}

import Coordinator
import DataModel

/// What `POST /collections/{collection}/cluster` asks for.
enum ShardChange: Sendable, Equatable {
    case begin(OperationRequest)
    /// Cancels the transfer of the shard to a node.
    case abort(shard: ShardNumber, from: NodeID, to: NodeID)
}

extension JSONElement {
    /// How the dialect's servers may send a shard. All mean the same here: a snapshot and then the log.
    private static var transferMethods: Set<String> { ["stream_records", "snapshot", "wal_delta"] }

    /// One of `move_shard`, `replicate_shard`, `drop_replica` and `abort_transfer`.
    func shardChange(of collection: String) throws(DialectError) -> ShardChange {
        try requireObject()
        if let move = try field("move_shard") {
            return try within("move_shard") { () throws(DialectError) in
                let (shard, from, to) = try move.transfer()
                return .begin(.move(collection: collection, shard: shard, from: from, to: to))
            }
        }
        if let replicate = try field("replicate_shard") {
            return try within("replicate_shard") { () throws(DialectError) in
                // The shard's primary sends it, whichever replica is named.
                let (shard, _, to) = try replicate.transfer()
                return .begin(.replicate(collection: collection, shard: shard, to: to))
            }
        }
        if let drop = try field("drop_replica") {
            return try within("drop_replica") { () throws(DialectError) in
                try drop.requireObject()
                return .begin(
                    .dropReplica(
                        collection: collection, shard: ShardNumber(try drop.identifier("shard_id")),
                        from: NodeID(try drop.identifier("peer_id"))))
            }
        }
        if let abort = try field("abort_transfer") {
            return try within("abort_transfer") { () throws(DialectError) in
                let (shard, from, to) = try abort.transfer()
                return .abort(shard: shard, from: from, to: to)
            }
        }
        let name = fields.first { _ in true }?.name ?? "move_shard"
        throw DialectError(String(name.prefix(64)), name == "move_shard" ? "the field is missing" : "not supported")
    }

    private func within(
        _ name: String, _ body: () throws(DialectError) -> ShardChange
    ) throws(DialectError) -> ShardChange {
        do {
            return try body()
        } catch {
            throw error.within(name)
        }
    }

    private func transfer() throws(DialectError) -> (ShardNumber, from: NodeID, to: NodeID) {
        try requireObject()
        if let method = try string("method"), !Self.transferMethods.contains(method) {
            throw DialectError("method", "\(quoted(method)) is not supported")
        }
        return (
            ShardNumber(try identifier("shard_id")), NodeID(try identifier("from_peer_id")),
            NodeID(try identifier("to_peer_id"))
        )
    }
}

package import Cluster
package import DataModel

/// A hot copy of a shard on the node of one of its replicas, lent to whoever reads it.
package struct ShardCopy: Sendable {
    package let shard: ShardID
    package let copy: SnapshotCopy
    let source: any ShardService

    /// Bytes in one message, and for how long one is waited for.
    package static let pieceBytes: UInt32 = 1 << 20
    private static let pieceTimeout: Duration = .seconds(15)

    /// At most `pieceBytes` of a file from `offset` on.
    package func read(_ file: SnapshotFile, at offset: UInt64) async throws(ShardError) -> [UInt8] {
        let count = UInt32(min(UInt64(Self.pieceBytes), file.bytes - offset))
        let piece = SnapshotPiece(transfer: copy.offer.transfer, file: file.name, offset: offset, count: count)
        let bytes = try await source.readSnapshot(piece, deadline: .after(Self.pieceTimeout))
        guard !bytes.isEmpty, bytes.count <= Int(count) else {
            throw .storage(reason: "the copy's file \(file.name) is shorter than it should be")
        }
        return bytes
    }

    fileprivate func drop() async {
        try? await source.dropSnapshot(copy.offer.transfer, deadline: .after(Self.pieceTimeout))
    }
}

extension Coordinator {
    /// The collection's record and shards, to take a snapshot of.
    ///
    /// - Throws: `collectionNotFound`, `unavailable`.
    package func snapshotSource(
        of name: String
    ) async throws(DatabaseError) -> (config: CollectionConfig, shards: [ShardRecord]) {
        let table = try await routing(of: name)
        return (table.collection.value.config, table.shards.map(\.value))
    }

    /// Lets `body` read a hot copy of the shard from an in-sync replica; of another one, from the start, when that fails.
    package func withCopy<Value: Sendable>(
        of shard: ShardID, collection: String, deadline: Deadline,
        _ body: (ShardCopy) async throws(ShardError) -> Value
    ) async throws(DatabaseError) -> Value {
        var backoff = Backoff()
        let patience = min(deadline, .after(Self.readPatience))
        while true {
            let state = try await freshState()
            guard let record = state.shard(shard)?.value else { throw state.error(missing: shard, of: collection) }
            var failure = ShardError.notServing(reason: "no in-sync replica is alive")
            for node in preference.ordered(record.inSync.filter { state.isLive($0) }) {
                let source = router.service(for: shard, on: node)
                do throws(ShardError) {
                    return try await Self.copied(record, from: source, deadline: deadline, body)
                } catch {
                    failure = error
                }
            }
            guard failure.isTransient, await backoff.pause(until: patience) else {
                throw DatabaseError(failure, collection: collection, shard: shard.number)
            }
        }
    }

    private static func copied<Value>(
        _ record: ShardRecord, from source: any ShardService, deadline: Deadline,
        _ body: (ShardCopy) async throws(ShardError) -> Value
    ) async throws(ShardError) -> Value {
        let taken = try await source.takeSnapshot(context: RequestContext(epoch: record.epoch, deadline: deadline))
        let copy = ShardCopy(shard: record.id, copy: taken, source: source)
        do throws(ShardError) {
            let value = try await body(copy)
            await copy.drop()
            return value
        } catch {
            await copy.drop()
            throw error
        }
    }
}

extension ClusterState {
    /// Why a shard that a request began with is not there any more.
    func error(missing shard: ShardID, of name: String) -> DatabaseError {
        guard let now = collection(name)?.value, now.state == .ready else { return .collectionNotFound(name) }
        if now.id == shard.collection {
            return .unavailable(reason: "shard \(shard.number) of collection \(name) has just been split or merged")
        }
        return .unavailable(reason: "collection \(name) has just been replaced by another of its name")
    }
}

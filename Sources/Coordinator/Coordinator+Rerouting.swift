import Cluster
import DataModel

/// Shards are split and merged while requests are under way: those that met one that is gone begin anew on those that have
/// taken its place, which know the names of the writes that it did.
extension Coordinator {
    /// Runs a read by the present map, and again by the next one when shards were replaced meanwhile.
    func routed<Value: Sendable>(
        _ collection: String, _ options: ReadOptions, deadline: Deadline,
        _ body: (RoutingTable) async throws(DatabaseError) -> Value
    ) async throws(DatabaseError) -> Value {
        let isStale = options.consistency == .stale
        var table = try await routing(of: collection, isStale: isStale)
        while true {
            switch await Self.result(of: body, table) {
            case .success(let value): return value
            case .failure(let error):
                let next = try await routing(of: collection, isStale: isStale)
                guard !deadline.isPast, next.collection.value.id == table.collection.value.id,
                    !next.hasShards(of: table)
                else { throw error }
                table = next
            }
        }
    }

    private static func result<Value: Sendable>(
        of body: (RoutingTable) async throws(DatabaseError) -> Value, _ table: RoutingTable
    ) async -> Result<Value, DatabaseError> {
        do throws(DatabaseError) {
            return .success(try await body(table))
        } catch {
            return .failure(error)
        }
    }

    /// The map of the collection when the shard was split or merged; nil when it is still there, or the collection is
    /// another.
    func routing(of collection: String, without shard: ShardID) async throws(DatabaseError) -> RoutingTable? {
        let table = try await routing(of: collection)
        let isGone = table.collection.value.id == shard.collection && !table.shards.contains { $0.value.id == shard }
        return isGone ? table : nil
    }
}

extension RoutingTable {
    /// Whether the physical shards are the same.
    func hasShards(of other: RoutingTable) -> Bool { shards.map(\.value.id) == other.shards.map(\.value.id) }
}

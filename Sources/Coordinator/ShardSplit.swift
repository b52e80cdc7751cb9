import Cluster
import DataModel

/// The elements of a request that belong to one physical shard, in the order of the request.
struct ShardPart<Element: Sendable>: Sendable {
    let shard: ShardID
    var elements: [Element]
}

/// Divides the points or ids of a request among the physical shards: by hash to a virtual shard, by the map to a
/// physical one.
enum ShardSplit {
    /// Only shards that get an element are in the result.
    ///
    /// - Throws: `unavailable` when no physical shard owns an element's virtual shard.
    static func split<Element: Sendable>(
        _ elements: [Element], table: RoutingTable, id: (Element) -> PointID
    ) throws(DatabaseError) -> [ShardPart<Element>] {
        var parts = table.shards.map { ShardPart<Element>(shard: $0.value.id, elements: []) }
        for part in parts.indices { parts[part].elements.reserveCapacity(elements.count / parts.count + 1) }
        for element in elements {
            guard let index = table.shardIndex(of: id(element)) else {
                throw .unavailable(
                    reason: "no shard of collection \(table.collection.value.name) owns point \(id(element))")
            }
            parts[index].elements.append(element)
        }
        return parts.filter { !$0.elements.isEmpty }
    }
}

package import DataModel

/// Which physical shard of a collection a point belongs to.
package final class RoutingTable: Sendable {
    package let collection: Stored<CollectionRecord>
    /// In order of their numbers.
    package let shards: [Stored<ShardRecord>]
    /// By virtual shard: an index into `shards`, or `unowned`.
    private let owners: [UInt16]

    private static let unowned = UInt16.max

    init(collection: Stored<CollectionRecord>, shards: [Stored<ShardRecord>]) {
        self.collection = collection
        self.shards = shards.sorted { $0.value.id < $1.value.id }
        let count = collection.value.config.virtualShards
        var owners = [UInt16](repeating: Self.unowned, count: count)
        for (index, shard) in self.shards.enumerated() {
            for range in shard.value.virtualShards where Int(range.lower) < count {
                for slot in Int(range.lower)...min(Int(range.upper), count - 1) { owners[slot] = UInt16(index) }
            }
        }
        self.owners = owners
    }

    /// Whether each virtual shard has a physical one.
    package var isComplete: Bool { !owners.contains(Self.unowned) }

    /// The index in `shards` of the physical shard that owns the virtual one; nil when none does.
    ///
    /// - Complexity: O(1)
    package func shardIndex(of virtualShard: VirtualShard) -> Int? {
        guard Int(virtualShard.rawValue) < owners.count else { return nil }
        let owner = owners[Int(virtualShard.rawValue)]
        return owner == Self.unowned ? nil : Int(owner)
    }

    /// The index in `shards` of the physical shard that holds the point.
    package func shardIndex(of id: PointID) -> Int? {
        shardIndex(of: VirtualShard(of: id, count: owners.count))
    }
}

/// What a replica has of one virtual shard, in a few bytes: replicas with the same points in the same versions have equal
/// ones, in whichever rows the points are.
package struct VirtualShardDigest: Sendable, Equatable {
    package static let empty = VirtualShardDigest(points: 0, hash: 0)

    package var points: UInt64
    /// The sum, modulo 2^64, of a 64-bit hash of each point's id and version.
    package var hash: UInt64

    package init(points: UInt64, hash: UInt64) {
        self.points = points
        self.hash = hash
    }
}

/// The digests of several virtual shards of a replica, all at one place of its history.
package struct ReplicaDigest: Sendable, Equatable {
    /// The last write that is in them.
    package var position: LogPosition
    /// Virtual shards without points are left out.
    package var virtualShards: [VirtualShard: VirtualShardDigest]

    package init(position: LogPosition, virtualShards: [VirtualShard: VirtualShardDigest]) {
        self.position = position
        self.virtualShards = virtualShards
    }

    package subscript(shard: VirtualShard) -> VirtualShardDigest { virtualShards[shard] ?? .empty }
}

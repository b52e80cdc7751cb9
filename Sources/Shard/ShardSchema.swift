internal import Foundation
package import DataModel

/// What a shard needs to know of its collection. Stored with the data; an existing shard opens only with the same.
package struct ShardSchema: Sendable, Codable, Equatable {
    /// In order of names; a space's index here is its number in database keys.
    package var spaces: [VectorSpace]
    package var virtualShards: Int

    package init(_ config: CollectionConfig) {
        spaces = config.spaces
        virtualShards = config.virtualShards
    }

    func spaceIndex(named name: String) -> Int? { spaces.firstIndex { $0.name == name } }
}

/// Settings of the shards of one node.
package struct ShardOptions: Sendable, Equatable {
    package enum Durability: String, Sendable, Codable, CaseIterable {
        /// Each write is on disk before it is acknowledged.
        case commit
        /// Writes reach the disk within `syncInterval`. A killed process loses nothing; a power failure may lose what
        /// came since the last sync, or need the replica to be rebuilt from another one.
        case interval
    }

    package var durability: Durability
    package var syncInterval: Duration
    /// Address space of each LMDB environment, the most its file can grow to.
    package var pointsMapBytes: Int
    package var indexMapBytes: Int
    /// Writers wait while more rows than this are not in the graph yet: they are scanned by every search.
    package var maximumUnindexedRows: Int
    /// Memory for blocks of graphs that changed since the last checkpoint. A checkpoint begins at half of it; at all of
    /// it indexing waits for the checkpoint, and so in the end do writers.
    package var maximumOverlayBytes: Int
    /// Log that is kept for replicas that come back after a short absence.
    package var retainedLogBytes: Int
    /// Log that is kept at most for a replica that is known to need it; one that is further behind gets a snapshot.
    package var maximumPinnedLogBytes: Int
    /// The least time between two queries that are compared with exact answers, to learn what recall an effort gives.
    package var recallInterval: Duration
    package var compaction: CompactionOptions
    /// All that a shard has on disk is compared with its checksums about this often.
    package var verifyInterval: Duration
    /// Writes whose names are remembered. The same on all replicas; less in tests.
    package var rememberedWrites = Limits.rememberedWrites

    package init(
        durability: Durability = .commit, syncInterval: Duration = .seconds(1), pointsMapBytes: Int = 64 << 30,
        indexMapBytes: Int = 16 << 30, maximumUnindexedRows: Int = 20_000, maximumOverlayBytes: Int = 512 << 20,
        retainedLogBytes: Int = 64 << 20, maximumPinnedLogBytes: Int = 512 << 20,
        recallInterval: Duration = .seconds(1), compaction: CompactionOptions = CompactionOptions(),
        verifyInterval: Duration = .seconds(86_400)
    ) {
        self.durability = durability
        self.syncInterval = syncInterval
        self.pointsMapBytes = pointsMapBytes
        self.indexMapBytes = indexMapBytes
        self.maximumUnindexedRows = maximumUnindexedRows
        self.maximumOverlayBytes = maximumOverlayBytes
        self.retainedLogBytes = retainedLogBytes
        self.maximumPinnedLogBytes = maximumPinnedLogBytes
        self.recallInterval = recallInterval
        self.compaction = compaction
        self.verifyInterval = verifyInterval
    }
}

/// When a shard is rewritten without its dead rows.
package struct CompactionOptions: Sendable, Equatable {
    /// The share of dead rows, deleted or replaced, from which on it is worth it; above 1 is never.
    package var deadFraction: Double
    /// Fewer dead rows than this are not worth it: searches barely notice them.
    package var minimumDeadRows: Int

    package init(deadFraction: Double = 0.25, minimumDeadRows: Int = 2_000) {
        self.deadFraction = deadFraction
        self.minimumDeadRows = minimumDeadRows
    }
}

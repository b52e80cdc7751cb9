/// Which vectors of a point a response carries.
package enum VectorSelector: Sendable, Equatable {
    case none
    case all
    case named([String])
}

/// A search for the nearest points in one vector space of one physical shard.
package struct SearchRequest: Sendable {
    /// The candidates of a whole query that names no `ef`: recall@10 of about 0.99 on sentence embeddings.
    package static let defaultEf = 128

    /// The vector space's name.
    package var space: String
    /// As the client sent it: `dimension` finite floats. The shard normalises it for cosine.
    package var vector: [Float]
    /// How many points to return at most, the coordinator's offset included.
    package var limit: Int
    /// Points that score farther than this are left out.
    package var scoreThreshold: Float?
    /// Size of the candidate list in the graph; nil takes the shard's default for `limit`.
    package var ef: Int?
    /// The recall that the shard is to reach instead of spending a given `ef`: 0 ..< 1.
    package var recall: Double?
    /// Compare with every row instead of walking the graph.
    package var exact: Bool
    package var quantization: QuantizationParameters
    /// Only points that pass are returned.
    package var filter: Filter?
    /// Points that must not be returned, such as the one whose vector the query took.
    package var excluded: [PointID]
    package var withPayload: Bool
    package var withVectors: VectorSelector
    /// Whether the answer says how it was found.
    package var profile: Bool

    package init(
        space: String, vector: [Float], limit: Int, scoreThreshold: Float? = nil, ef: Int? = nil, recall: Double? = nil,
        exact: Bool = false, quantization: QuantizationParameters = .init(), filter: Filter? = nil,
        excluded: [PointID] = [], withPayload: Bool = false, withVectors: VectorSelector = .none, profile: Bool = false
    ) {
        self.space = space
        self.vector = vector
        self.limit = limit
        self.scoreThreshold = scoreThreshold
        self.ef = ef
        self.recall = recall
        self.exact = exact
        self.quantization = quantization
        self.filter = filter
        self.excluded = excluded
        self.withPayload = withPayload
        self.withVectors = withVectors
        self.profile = profile
    }
}

/// A request for points by their ids. Ids that do not exist are left out of the answer.
package struct RetrieveRequest: Sendable {
    package var ids: [PointID]
    package var withPayload: Bool
    package var withVectors: VectorSelector
    /// The primary answers, when all that it saw is acknowledged: versions are then good for conditions of writes, as a
    /// write that no client was told of may be lost, and its sequence given to another one.
    package var isSettled: Bool

    package init(ids: [PointID], withPayload: Bool, withVectors: VectorSelector, isSettled: Bool = false) {
        self.ids = ids
        self.withPayload = withPayload
        self.withVectors = withVectors
        self.isSettled = isSettled
    }
}

/// A request for the points of a shard in order of their ids, from `start` (inclusive) on.
package struct ScrollRequest: Sendable {
    package var start: PointID?
    package var limit: Int
    package var filter: Filter?
    package var withPayload: Bool
    package var withVectors: VectorSelector
    /// As in a `RetrieveRequest`.
    package var isSettled: Bool

    package init(
        start: PointID?, limit: Int, filter: Filter? = nil, withPayload: Bool, withVectors: VectorSelector,
        isSettled: Bool = false
    ) {
        self.isSettled = isSettled
        self.start = start
        self.limit = limit
        self.filter = filter
        self.withPayload = withPayload
        self.withVectors = withVectors
    }
}

/// One change of a physical shard: atomic within it, and one sequence in its log.
package enum WriteOperation: Sendable, Equatable {
    /// Inserts the points, replacing whole points whose ids exist. When an id occurs twice the later one wins.
    case upsert([Point])
    /// Deletes the points that exist.
    case delete([PointID])
    /// Deletes the points that pass. The primary turns it into deletes of ids at one place of its order, so that it is
    /// never in a log: replicas need not agree on what passes.
    case deleteMatching(Filter)
    /// Points of other shards, in the versions that they have there, ids whose points were deleted there meanwhile, and the
    /// names of writes that were done there: how a shard that is being filled follows those that it will replace.
    case adopt([VersionedPoint], deleting: [PointID], requests: [RememberedWrite])
}

/// What a primary says of a write that every in-sync replica has committed.
package struct WriteReceipt: Sendable, Equatable {
    package var sequence: SequenceNumber

    package init(sequence: SequenceNumber) { self.sequence = sequence }
}

/// What one replica says of itself, for `cluster shards`, metrics and placement.
package struct ReplicaStatus: Sendable, Equatable {
    package var position: LogPosition
    package var points: UInt64
    /// Rows in the graph, and rows that are still scanned exactly.
    package var indexedRows: UInt64
    package var unindexedRows: UInt64
    /// Bytes of both LMDB environments on disk.
    package var diskBytes: UInt64
    package var payloadIndexes: [PayloadIndexStatus]
    /// Rows that no point has any more; a compaction leaves them out.
    package var deadRows: UInt64
    package var logBytes: UInt64
    /// The compaction that is wanted or under way.
    package var compaction: CompactionProgress?
    /// Microseconds of searching in a second, over the last minute.
    package var searchMicroseconds: UInt64
    /// Why the replica serves nothing: what is on disk is not what was written.
    package var damage: String?

    package init(
        position: LogPosition, points: UInt64, indexedRows: UInt64, unindexedRows: UInt64, diskBytes: UInt64,
        payloadIndexes: [PayloadIndexStatus] = [], deadRows: UInt64 = 0, logBytes: UInt64 = 0,
        compaction: CompactionProgress? = nil, searchMicroseconds: UInt64 = 0, damage: String? = nil
    ) {
        self.position = position
        self.points = points
        self.indexedRows = indexedRows
        self.unindexedRows = unindexedRows
        self.diskBytes = diskBytes
        self.payloadIndexes = payloadIndexes
        self.deadRows = deadRows
        self.logBytes = logBytes
        self.compaction = compaction
        self.searchMicroseconds = searchMicroseconds
        self.damage = damage
    }
}

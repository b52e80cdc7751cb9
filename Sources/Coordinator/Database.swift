package import DataModel

/// Everything that a client may ask of the cluster, through whichever node it reached: what `HTTPAPI` speaks to.
///
/// Requests come in checked in form (finite floats, limits); the database checks them against the schema.
package protocol Database: Sendable {
    // Collections

    /// Creates the collection and waits until each of its physical shards has a serving primary.
    func createCollection(
        _ name: String, config: CollectionConfig, deadline: Deadline
    ) async throws(DatabaseError)

    /// Deletes the collection; false when there was none.
    func deleteCollection(_ name: String, deadline: Deadline) async throws(DatabaseError) -> Bool

    /// Names in ascending order.
    func collectionNames() async throws(DatabaseError) -> [String]

    func collectionExists(_ name: String) async throws(DatabaseError) -> Bool

    func collection(_ name: String, deadline: Deadline) async throws(DatabaseError) -> CollectionInfo

    /// Records that the collection has the index, in place of one on the same field that is different; the replicas
    /// build it in the background.
    func createPayloadIndex(
        _ index: PayloadIndexConfig, on collection: String, deadline: Deadline
    ) async throws(DatabaseError)

    /// Waits until every replica that may be read holds the index.
    ///
    /// - Returns: false when that was not so until the deadline, or the index was dropped meanwhile.
    func waitForPayloadIndex(
        _ index: PayloadIndexConfig, on collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> Bool

    /// Does nothing when there is none.
    func deletePayloadIndex(
        at path: PayloadPath, of collection: String, deadline: Deadline
    ) async throws(DatabaseError)

    // Points

    /// Returns when every in-sync replica has committed the write. A delete by filter deletes the points that pass; of
    /// writes at the same time, each shard puts it before or after.
    ///
    /// Conditions and the name hold in each shard for its part: a shard does all of it or nothing.
    /// - Returns: the highest sequence among the shards.
    func write(
        _ request: WriteRequest, to collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber

    /// The points that exist among the ids, in the order of the ids.
    func retrieve(
        _ request: RetrieveRequest, from collection: String, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<[Record]>

    /// With `replica`, every physical shard is read from its in-sync replica on that node alone, and shards without one
    /// there are left out: what an operator compares replicas with.
    func scroll(
        _ request: ScrollRequest, through collection: String, replica: NodeID?, options: ReadOptions,
        deadline: Deadline
    ) async throws(DatabaseError) -> Reading<ScrollPage>

    /// The exact number of points; with a filter, of those that pass.
    func count(
        _ filter: Filter?, in collection: String, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<UInt64>

    /// Answers each query, in order; results come best first.
    func query(
        _ queries: [Query], in collection: String, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<[QueryAnswer]>

    // Cluster

    func clusterStatus(deadline: Deadline) async throws(DatabaseError) -> ClusterStatus

    /// The shard tables of the named collection, or of all.
    func shardTables(collection: String?, deadline: Deadline) async throws(DatabaseError) -> [ShardTable]

    /// The steps that the operation would take, each with its reason; nothing is changed.
    func plan(_ request: OperationRequest, deadline: Deadline) async throws(DatabaseError) -> OperationPlan

    /// Records a durable operation with its plan; the controller carries it out.
    ///
    /// - Parameter maxBytesPerSecond: the most that each of its transfers sends; nil for what the nodes are set to.
    func begin(
        _ request: OperationRequest, maxBytesPerSecond: UInt64?, deadline: Deadline
    ) async throws(DatabaseError) -> OperationStatus

    /// Lets a node that is being drained, or is, take replicas again; what it gave up stays where it is.
    func undrain(_ node: NodeID) async throws(DatabaseError)

    /// Plans splits or merges of physical shards and, unless it is a dry run, records them as operations.
    func reshard(
        _ request: ReshardRequest, dryRun: Bool, deadline: Deadline
    ) async throws(DatabaseError) -> ReshardReport

    /// All operations that are not older than a day, newest first.
    func operations() async throws(DatabaseError) -> [OperationStatus]

    func cancelOperation(_ id: String) async throws(DatabaseError) -> OperationStatus

    /// Asks replicas to maintain themselves: those of the collection, or only the named shard's, or node's.
    func maintain(
        _ request: MaintenanceRequest, deadline: Deadline
    ) async throws(DatabaseError) -> [MaintenanceReport]

    /// Whether this node holds its lease and can route requests; nil when it can, else the reason.
    func notReadyReason() -> String?
}

extension Database {
    package func upsert(
        _ points: [Point], into collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        try await write(WriteRequest(.upsert(points)), to: collection, deadline: deadline)
    }

    package func delete(
        _ ids: [PointID], from collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        try await write(WriteRequest(.delete(ids)), to: collection, deadline: deadline)
    }

    package func move(_ request: MoveRequest, deadline: Deadline) async throws(DatabaseError) -> OperationStatus {
        try await begin(OperationRequest(request), maxBytesPerSecond: request.maxBytesPerSecond, deadline: deadline)
    }
}

/// Reads of any in-sync replica of every shard.
extension Database {
    package func retrieve(
        _ request: RetrieveRequest, from collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> [Record] {
        try await retrieve(request, from: collection, options: .standard, deadline: deadline).value
    }

    package func scroll(
        _ request: ScrollRequest, through collection: String, replica: NodeID?, deadline: Deadline
    ) async throws(DatabaseError) -> ScrollPage {
        try await scroll(request, through: collection, replica: replica, options: .standard, deadline: deadline).value
    }

    package func count(
        _ filter: Filter?, in collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> UInt64 {
        try await count(filter, in: collection, options: .standard, deadline: deadline).value
    }

    package func query(
        _ queries: [Query], in collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> [QueryAnswer] {
        try await query(queries, in: collection, options: .standard, deadline: deadline).value
    }
}

/// What a query searches for.
package enum QueryTarget: Sendable {
    /// The points nearest to a vector.
    case vector([Float])
    /// The points nearest to the vector of a point, the point itself left out.
    case point(PointID)
}

/// A query over a whole collection.
package struct Query: Sendable {
    package var target: QueryTarget
    /// The vector space's name.
    package var space: String
    /// Only points that pass are found.
    package var filter: Filter?
    package var limit: Int
    package var offset: Int
    package var scoreThreshold: Float?
    package var ef: Int?
    /// The recall to reach in place of a given `ef`: 0 ..< 1.
    package var recall: Double?
    package var exact: Bool
    package var quantization: QuantizationParameters
    package var withPayload: Bool
    package var withVectors: VectorSelector
    /// Whether the answer says how each shard found its part.
    package var profile: Bool

    package init(
        target: QueryTarget, space: String = "", filter: Filter? = nil, limit: Int = 10, offset: Int = 0,
        scoreThreshold: Float? = nil, ef: Int? = nil, recall: Double? = nil, exact: Bool = false,
        quantization: QuantizationParameters = .init(), withPayload: Bool = false, withVectors: VectorSelector = .none,
        profile: Bool = false
    ) {
        self.target = target
        self.space = space
        self.filter = filter
        self.limit = limit
        self.offset = offset
        self.scoreThreshold = scoreThreshold
        self.ef = ef
        self.recall = recall
        self.exact = exact
        self.quantization = quantization
        self.withPayload = withPayload
        self.withVectors = withVectors
        self.profile = profile
    }
}

/// What a query found.
package struct QueryAnswer: Sendable, Equatable {
    /// Best first.
    package var points: [ScoredPoint]
    /// How each shard found its part; empty when the query did not ask for it.
    package var profiles: [ShardProfile]

    package struct ShardProfile: Sendable, Equatable {
        package var shard: ShardNumber
        package var profile: SearchProfile

        package init(shard: ShardNumber, profile: SearchProfile) {
            self.shard = shard
            self.profile = profile
        }
    }

    package init(points: [ScoredPoint], profiles: [ShardProfile] = []) {
        self.points = points
        self.profiles = profiles
    }
}

/// A page of points in order of ids; `next` is the id to go on from, nil at the end.
package struct ScrollPage: Sendable {
    package var records: [Record]
    package var next: PointID?

    package init(records: [Record], next: PointID?) {
        self.records = records
        self.next = next
    }
}

/// Why the database did not do what it was asked.
package enum DatabaseError: Error, Sendable, Equatable {
    case collectionNotFound(String)
    case collectionExists(String)
    /// A point whose vector a query asked for does not exist.
    case pointNotFound(PointID)
    case operationNotFound(String)
    case snapshotNotFound(String)
    /// Conditions of a write do not hold.
    case writeConflict(WriteConflict)
    /// The request id was used for another write.
    case requestIDReused(reason: String)
    /// The request contradicts the schema or the cluster's state; `reason` names the field and the limit.
    case invalid(reason: String)
    /// No replica that may answer could be reached before the deadline; names the shard.
    case unavailable(reason: String)
    case overloaded(reason: String)
    case outOfSpace(reason: String)
    case deadlineExceeded(reason: String)
    case internalFailure(reason: String)
}

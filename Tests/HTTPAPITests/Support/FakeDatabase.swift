import Coordinator
import DataModel
import Synchronization

/// A database in memory that compares with every point: what the HTTP layer is tested against.
final class FakeDatabase: Database {
    struct Collection {
        var config: CollectionConfig
        var points: [PointID: Point] = [:]
        var sequence = SequenceNumber.zero
    }

    struct State {
        var collections: [String: Collection] = [:]
        /// Thrown by every call, when set.
        var failure: DatabaseError?
        var notReady: String?
        /// No payload index is built in time.
        var isIndexingSlow = false
        var begun: [OperationRequest] = []
        var undrained: [NodeID] = []
        var reshards: [(request: ReshardRequest, dryRun: Bool)] = []
        var lastScrollReplica: NodeID?
        var lastQueries: [Query] = []
        var lastReadOptions: ReadOptions?
        /// Of the last scroll, count or delete. Nothing is filtered.
        var lastFilter: Filter?
        /// Its conditions and name are noted only.
        var lastWrite: WriteRequest?
    }

    let state = Mutex(State())

    private func with<R>(_ body: (inout State) throws(DatabaseError) -> R) throws(DatabaseError) -> R {
        let result: Result<R, DatabaseError> = state.withLock { state in
            if let failure = state.failure { return .failure(failure) }
            do throws(DatabaseError) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private func with<R>(
        _ name: String, _ body: (inout Collection) throws(DatabaseError) -> R
    ) throws(DatabaseError) -> R {
        try with { (state) throws(DatabaseError) in
            guard var collection = state.collections[name] else { throw .collectionNotFound(name) }
            defer { state.collections[name] = collection }
            return try body(&collection)
        }
    }

    // MARK: Collections

    func createCollection(
        _ name: String, config: CollectionConfig, deadline: Deadline
    ) async throws(DatabaseError) {
        try with { (state) throws(DatabaseError) in
            guard state.collections[name] == nil else { throw .collectionExists(name) }
            state.collections[name] = Collection(config: config)
        }
    }

    func deleteCollection(_ name: String, deadline: Deadline) async throws(DatabaseError) -> Bool {
        try with { (state) throws(DatabaseError) in state.collections.removeValue(forKey: name) != nil }
    }

    func collectionNames() async throws(DatabaseError) -> [String] {
        try with { (state) throws(DatabaseError) in state.collections.keys.sorted() }
    }

    func collectionExists(_ name: String) async throws(DatabaseError) -> Bool {
        try with { (state) throws(DatabaseError) in state.collections[name] != nil }
    }

    func collection(_ name: String, deadline: Deadline) async throws(DatabaseError) -> CollectionInfo {
        try with(name) { (collection) throws(DatabaseError) in
            CollectionInfo(
                name: name, id: CollectionID("c0ffee"), config: collection.config, health: .green,
                points: UInt64(collection.points.count), indexedVectors: UInt64(collection.points.count),
                payloadIndexes: collection.config.payloadIndexes.map {
                    PayloadIndexStatus(config: $0, progress: 0.5, points: UInt64(collection.points.count))
                })
        }
    }

    func createPayloadIndex(
        _ index: PayloadIndexConfig, on collection: String, deadline: Deadline
    ) async throws(DatabaseError) {
        try with(collection) { (collection) throws(DatabaseError) in
            collection.config.payloadIndexes.removeAll { $0.path == index.path }
            collection.config.payloadIndexes.append(index)
        }
    }

    func waitForPayloadIndex(
        _ index: PayloadIndexConfig, on collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> Bool {
        try with { (state) throws(DatabaseError) in !state.isIndexingSlow }
    }

    func deletePayloadIndex(
        at path: PayloadPath, of collection: String, deadline: Deadline
    ) async throws(DatabaseError) {
        try with(collection) { (collection) throws(DatabaseError) in
            collection.config.payloadIndexes.removeAll { $0.path == path }
        }
    }

    // MARK: Points

    func write(
        _ request: WriteRequest, to collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        state.withLock { state in
            state.lastWrite = request
            if case .deleteMatching(let filter) = request.operation { state.lastFilter = filter }
        }
        return try with(collection) { (collection) throws(DatabaseError) in
            switch request.operation {
            case .upsert(let points):
                for point in points {
                    for (name, values) in point.vectors.entries {
                        try Self.check(values, of: name, collection.config)
                    }
                    collection.points[point.id] = point
                }
            case .delete(let ids): for id in ids { collection.points[id] = nil }
            case .deleteMatching, .adopt: break
            }
            collection.sequence = collection.sequence.next
            return collection.sequence
        }
    }

    private static func check(_ values: [Float], of name: String, _ config: CollectionConfig) throws(DatabaseError) {
        guard let space = config.space(named: name) else {
            throw .invalid(reason: "the collection has no vector named `\(name)`")
        }
        guard values.count == space.dimension else {
            throw .invalid(reason: "vector: the dimension is \(values.count), expected \(space.dimension)")
        }
    }

    /// Answers as if shards 1 and 4 had nobody who answers.
    private func reading<Value>(_ value: Value, _ options: ReadOptions) -> Reading<Value> {
        state.withLock { $0.lastReadOptions = options }
        return Reading(
            value, missingShards: options.allowsPartial ? [ShardNumber(1), ShardNumber(4)] : [],
            isStale: options.consistency == .stale)
    }

    private static func record(_ point: Point, payload: Bool, vectors: VectorSelector) -> Record {
        var chosen: NamedVectors?
        switch vectors {
        case .none: break
        case .all: chosen = point.vectors
        case .named(let names):
            var some = NamedVectors()
            for name in names { some[name] = point.vectors[name] }
            chosen = some
        }
        return Record(
            id: point.id, version: SequenceNumber(3), payload: payload ? point.payload : nil, vectors: chosen)
    }

    func retrieve(
        _ request: RetrieveRequest, from collection: String, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<[Record]> {
        let records = try with(collection) { (collection) throws(DatabaseError) in
            request.ids.compactMap { collection.points[$0] }.map {
                Self.record($0, payload: request.withPayload, vectors: request.withVectors)
            }
        }
        return reading(records, options)
    }

    func scroll(
        _ request: ScrollRequest, through collection: String, replica: NodeID?, options: ReadOptions,
        deadline: Deadline
    ) async throws(DatabaseError) -> Reading<ScrollPage> {
        state.withLock { $0.lastScrollReplica = replica }
        state.withLock { $0.lastFilter = request.filter }
        let page = try with(collection) { (collection) throws(DatabaseError) in
            let ids = collection.points.keys.filter { id in request.start.map { $0 <= id } ?? true }.sorted()
            let records = ids.prefix(request.limit).compactMap { collection.points[$0] }.map {
                Self.record($0, payload: request.withPayload, vectors: request.withVectors)
            }
            return ScrollPage(records: records, next: ids.dropFirst(request.limit).first)
        }
        return reading(page, options)
    }

    func count(
        _ filter: Filter?, in collection: String, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<UInt64> {
        state.withLock { $0.lastFilter = filter }
        let count = try with(collection) { (collection) throws(DatabaseError) in UInt64(collection.points.count) }
        return reading(count, options)
    }

    func query(
        _ queries: [Query], in collection: String, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<[QueryAnswer]> {
        state.withLock { $0.lastQueries = queries }
        let answers = try with(collection) { (collection) throws(DatabaseError) in
            var results: [QueryAnswer] = []
            for query in queries {
                let profile = SearchProfile(strategy: .filteredGraph, possibleRows: 4, comparisons: 7)
                results.append(
                    QueryAnswer(
                        points: try Self.answer(query, collection),
                        profiles: query.profile ? [.init(shard: ShardNumber(2), profile: profile)] : []))
            }
            return results
        }
        return reading(answers, options)
    }

    private static func answer(_ query: Query, _ collection: Collection) throws(DatabaseError) -> [ScoredPoint] {
        let target: [Float]
        var excluded: PointID?
        switch query.target {
        case .vector(let values): target = values
        case .point(let id):
            guard let values = collection.points[id]?.vectors[query.space] else { throw .pointNotFound(id) }
            (target, excluded) = (values, id)
        }
        try check(target, of: query.space, collection.config)
        guard let distance = collection.config.space(named: query.space)?.distance else { return [] }
        let scored = collection.points.values.filter { $0.id != excluded }.compactMap { point in
            point.vectors[query.space].map {
                ScoredPoint(
                    record: record(point, payload: query.withPayload, vectors: query.withVectors),
                    score: score(target, $0, distance))
            }
        }
        return Array(
            scored.sorted { distance.isNearer($0.score, than: $1.score) }
                .filter { point in query.scoreThreshold.map { !distance.isNearer($0, than: point.score) } ?? true }
                .dropFirst(query.offset).prefix(query.limit))
    }

    private static func score(_ a: [Float], _ b: [Float], _ distance: Distance) -> Float {
        func dot(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
        switch distance {
        case .dot: return dot(a, b)
        case .cosine: return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
        case .euclid: return zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        case .manhattan: return zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) }
        }
    }

    // MARK: Cluster

    static func operation(_ request: OperationRequest, state: OperationStatus.State) -> OperationStatus {
        var status = OperationStatus(
            id: "op-1", kind: "other", subject: "", state: state, detail: "copying", reason: "asked for", bytesDone: 1,
            bytesTotal: 2, createdAt: 0)
        switch request {
        case .move(let collection, let shard, let from, let to):
            status.kind = "move"
            (status.collection, status.shard, status.from, status.to) = (collection, shard, from, to)
        case .replicate(let collection, let shard, let to):
            status.kind = "replicate"
            (status.collection, status.shard, status.to) = (collection, shard, to)
        case .remove: status.state = .done
        default: break
        }
        return status
    }

    func clusterStatus(deadline: Deadline) async throws(DatabaseError) -> ClusterStatus {
        try with { (state) throws(DatabaseError) in
            ClusterStatus(
                clusterID: "fake", answeredBy: NodeID(1),
                nodes: [1, 2].map {
                    ClusterStatus.Node(
                        id: NodeID($0), httpAddress: "127.0.0.1:\(6333 + 10 * ($0 - 1))",
                        rpcAddress: "127.0.0.1:\(6335 + 10 * ($0 - 1))", alive: true, isController: $0 == 2,
                        replicas: 1, primaries: 1)
                },
                collections: [], operations: state.begun.map { Self.operation($0, state: .running) })
        }
    }

    func shardTables(collection: String?, deadline: Deadline) async throws(DatabaseError) -> [ShardTable] {
        try with { (state) throws(DatabaseError) in
            if let collection, state.collections[collection] == nil { throw .collectionNotFound(collection) }
            return state.collections.keys.sorted().filter { collection == nil || collection == $0 }.map { name in
                ShardTable(
                    collection: name, collectionID: CollectionID("c0ffee"),
                    shards: [
                        ShardTable.Shard(
                            number: ShardNumber(0), virtualShards: [VirtualShardRange(lower: 0, upper: 127)],
                            epoch: Epoch(1),
                            replicas: [
                                ShardTable.Replica(node: NodeID(1), state: .inSync, isPrimary: true, points: 7),
                                ShardTable.Replica(node: NodeID(2), state: .catchingUp, isPrimary: false),
                            ])
                    ])
            }
        }
    }

    func plan(_ request: OperationRequest, deadline: Deadline) async throws(DatabaseError) -> OperationPlan {
        OperationPlan(loads: [], steps: [])
    }

    func begin(
        _ request: OperationRequest, maxBytesPerSecond: UInt64?, deadline: Deadline
    ) async throws(DatabaseError) -> OperationStatus {
        try with { (state) throws(DatabaseError) in
            state.begun.append(request)
            return Self.operation(request, state: .planned)
        }
    }

    func undrain(_ node: NodeID) async throws(DatabaseError) {
        try with { (state) throws(DatabaseError) in state.undrained.append(node) }
    }

    func reshard(
        _ request: ReshardRequest, dryRun: Bool, deadline: Deadline
    ) async throws(DatabaseError) -> ReshardReport {
        try with { (state) throws(DatabaseError) in state.reshards.append((request, dryRun)) }
        return ReshardReport(collection: request.collection, steps: [])
    }

    func operations() async throws(DatabaseError) -> [OperationStatus] {
        try with { (state) throws(DatabaseError) in state.begun.map { Self.operation($0, state: .running) } }
    }

    func maintain(
        _ request: MaintenanceRequest, deadline: Deadline
    ) async throws(DatabaseError) -> [MaintenanceReport] {
        [
            MaintenanceReport(
                collection: request.collection ?? "every", shard: request.shard ?? ShardNumber(0),
                node: request.node ?? NodeID(1), summary: "sound")
        ]
    }

    func cancelOperation(_ id: String) async throws(DatabaseError) -> OperationStatus {
        try with { (state) throws(DatabaseError) in
            guard id == "op-1", let request = state.begun.first else { throw .operationNotFound(id) }
            return Self.operation(request, state: .cancelled)
        }
    }

    func notReadyReason() -> String? { state.withLock { $0.notReady } }
}

import Coordinator
import DataModel
import Synchronization

/// Replicas in memory that fail, or take their time, as a test says.
final class FakeShards: ShardRouter, Sendable {
    enum Behaviour: Sendable {
        case works
        case fails(ShardError)
        /// Fails so many times, then works.
        case failsFirst(Int, ShardError)
        /// Does not answer before the deadline, as a stopped process.
        case hangs
    }

    struct State {
        var behaviours: [NodeID: Behaviour] = [:]
        var calls: [NodeID: Int] = [:]
        /// Shards that no node has any more.
        var gone: Set<ShardID> = []
        var points: [ShardID: [PointID: Point]] = [:]
        var operations: [ShardID: [WriteOperation]] = [:]
        /// All that came, also what then failed.
        var writes: [WriteRequest] = []
        var searches: [ShardID: [SearchRequest]] = [:]
        /// The answers to searches, instead of real ones.
        var hits: [ShardNumber: [ScoredPoint]] = [:]
        var epochs: [Epoch] = []
        /// Counts that may have been stale.
        var staleCalls = 0
        /// What every replica on the node says of its payload indexes.
        var payloadIndexes: [NodeID: [PayloadIndexStatus]] = [:]
    }

    private let state = Mutex(State())

    func with<Value>(_ body: (inout sending State) -> sending Value) -> Value { state.withLock(body) }

    func set(_ behaviour: Behaviour, on node: UInt32) { state.withLock { $0.behaviours[NodeID(node)] = behaviour } }

    func calls(to node: UInt32) -> Int { state.withLock { $0.calls[NodeID(node)] ?? 0 } }

    func service(for shard: ShardID, on node: NodeID) -> any ShardService {
        FakeReplica(shard: shard, node: node, shards: self)
    }

    func replica(of shard: ShardID, on node: NodeID) -> any ReplicaService { NoFiles() }

    fileprivate func enter(_ shard: ShardID, _ node: NodeID, deadline: Deadline) async throws(ShardError) {
        let behaviour = state.withLock { state in
            state.calls[node, default: 0] += 1
            let behaviour = state.behaviours[node] ?? .works
            if case .failsFirst(let count, let error) = behaviour {
                state.behaviours[node] = count > 1 ? .failsFirst(count - 1, error) : .works
            }
            return state.gone.contains(shard) ? .fails(.notHosted(shard)) : behaviour
        }
        switch behaviour {
        case .works: return
        case .fails(let error), .failsFirst(_, let error): throw error
        case .hangs:
            try? await Task.sleep(until: deadline.instant, clock: .continuous)
            throw .deadlineExceeded
        }
    }
}

private struct FakeReplica: ShardService {
    let shard: ShardID
    let node: NodeID
    let shards: FakeShards

    func search(_ searches: [SearchRequest], context: RequestContext) async throws(ShardError) -> [SearchAnswer] {
        try await shards.enter(shard, node, deadline: context.deadline)
        return shards.with { [shard] state in
            state.searches[shard, default: []] += searches
            let hits = state.hits[shard.number] ?? []
            return searches.map { search in
                SearchAnswer(
                    points: Array(hits.filter { !search.excluded.contains($0.record.id) }.prefix(search.limit)),
                    profile: search.profile ? SearchProfile(comparisons: hits.count) : nil)
            }
        }
    }

    func retrieve(_ request: RetrieveRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await shards.enter(shard, node, deadline: context.deadline)
        return shards.with { [shard] state in
            request.ids.compactMap { id in
                (state.points[shard]?[id]).map {
                    Record(id: id, version: SequenceNumber(1), payload: $0.payload, vectors: $0.vectors)
                }
            }
        }
    }

    func scroll(_ request: ScrollRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await shards.enter(shard, node, deadline: context.deadline)
        return shards.with { [shard] state in
            let ids = (state.points[shard] ?? [:]).keys.sorted().filter { id in request.start.map { id >= $0 } ?? true }
            return ids.prefix(request.limit).map {
                Record(id: $0, version: SequenceNumber(1), payload: nil, vectors: nil)
            }
        }
    }

    func count(_ filter: Filter?, context: RequestContext) async throws(ShardError) -> UInt64 {
        try await shards.enter(shard, node, deadline: context.deadline)
        if context.isStaleAllowed { shards.with { $0.staleCalls += 1 } }
        return shards.with { [shard] state in UInt64(state.points[shard]?.count ?? 0) }
    }

    func write(_ request: WriteRequest, context: RequestContext) async throws(ShardError) -> WriteReceipt {
        shards.with { state in state.writes.append(request) }
        let operation = request.operation
        try await shards.enter(shard, node, deadline: context.deadline)
        return shards.with { [shard] state in
            state.epochs.append(context.epoch)
            state.operations[shard, default: []].append(operation)
            switch operation {
            case .upsert(let points): for point in points { state.points[shard, default: [:]][point.id] = point }
            case .delete(let ids): for id in ids { state.points[shard]?[id] = nil }
            case .deleteMatching, .adopt: break
            }
            return WriteReceipt(sequence: SequenceNumber(UInt64(state.operations[shard]?.count ?? 0)))
        }
    }

    func status(deadline: Deadline) async throws(ShardError) -> ReplicaStatus {
        try await shards.enter(shard, node, deadline: deadline)
        return shards.with { [shard, node] state in
            let count = UInt64(state.points[shard]?.count ?? 0)
            return ReplicaStatus(
                position: .start, points: count, indexedRows: count, unindexedRows: 0, diskBytes: 4_096,
                payloadIndexes: state.payloadIndexes[node] ?? [])
        }
    }
}

/// A replica that takes no files.
private struct NoFiles: ReplicaService {
    private var failure: ShardError { .invalid(reason: "no files here") }

    func openReplica(context: RequestContext) async throws(ShardError) -> BackupState { throw failure }
    func replicate(
        _: [LogRecord], after: LogPosition, context: RequestContext
    ) async throws(ShardError) -> BackupState { throw failure }
    func digest(of: [VirtualShardRange], context: RequestContext) async throws(ShardError) -> ReplicaDigest {
        throw failure
    }
    func beginSnapshot(_: SnapshotOffer, context: RequestContext) async throws(ShardError) { throw failure }
    func receiveSnapshot(_: SnapshotChunk, context: RequestContext) async throws(ShardError) { throw failure }
    func finishSnapshot(
        transfer: UInt64, checksums: [String: UInt64], context: RequestContext
    ) async throws(ShardError) -> BackupState { throw failure }
}

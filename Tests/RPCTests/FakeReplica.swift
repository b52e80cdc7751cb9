import DataModel
import RPC
import Synchronization

/// A replica in memory that notes what it was asked and answers what it was told to.
final class FakeReplica: ShardService, ReplicaService {
    struct Answers: Sendable {
        var search: [SearchAnswer] = []
        var records: [Record] = []
        var count: UInt64 = 0
        var receipt = WriteReceipt(sequence: .zero)
        var status = ReplicaStatus(position: .start, points: 0, indexedRows: 0, unindexedRows: 0, diskBytes: 0)
        var backup = BackupState(position: .start, unindexedRows: 0)
        var digest = ReplicaDigest(position: .start, virtualShards: [:])
        var links: LinkPage?
        /// Thrown in place of any answer.
        var error: ShardError?
    }

    struct Seen: Sendable {
        var searches: [SearchRequest] = []
        var retrieve: RetrieveRequest?
        var scroll: ScrollRequest?
        var filter: Filter?
        var writes: [WriteRequest] = []
        var records: [LogRecord] = []
        var previous: LogPosition?
        var digested: [VirtualShardRange] = []
        var wantedLinks: LinkRequest?
        var offer: SnapshotOffer?
        var chunk: SnapshotChunk?
        var finished: (transfer: UInt64, checksums: [String: UInt64])?
        var context: RequestContext?
        var calls = 0
        var cancelled = 0
    }

    let answers = Mutex(Answers())
    let seen = Mutex(Seen())
    /// Runs in each call before the answer: tests make calls wait with it.
    let gate: @Sendable (Seen) async throws(ShardError) -> Void

    init(gate: @escaping @Sendable (Seen) async throws(ShardError) -> Void = { _ in }) { self.gate = gate }

    private func answer(
        _ context: RequestContext?, _ note: @Sendable (inout Seen) -> Void
    ) async throws(ShardError) -> Answers {
        let now = seen.withLock { seen in
            note(&seen)
            seen.calls += 1
            seen.context = context
            return seen
        }
        try await gate(now)
        let answers = answers.withLock { $0 }
        if let error = answers.error { throw error }
        return answers
    }

    func search(_ searches: [SearchRequest], context: RequestContext) async throws(ShardError) -> [SearchAnswer] {
        try await answer(context) { $0.searches = searches }.search
    }

    func retrieve(_ request: RetrieveRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await answer(context) { $0.retrieve = request }.records
    }

    func scroll(_ request: ScrollRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await answer(context) { $0.scroll = request }.records
    }

    func count(_ filter: Filter?, context: RequestContext) async throws(ShardError) -> UInt64 {
        try await answer(context) { $0.filter = filter }.count
    }

    func write(_ request: WriteRequest, context: RequestContext) async throws(ShardError) -> WriteReceipt {
        try await answer(context) { $0.writes.append(request) }.receipt
    }

    func status(deadline: Deadline) async throws(ShardError) -> ReplicaStatus {
        try await answer(nil) { _ in }.status
    }

    func openReplica(context: RequestContext) async throws(ShardError) -> BackupState {
        try await answer(context) { _ in }.backup
    }

    func replicate(
        _ records: [LogRecord], after previous: LogPosition, context: RequestContext
    ) async throws(ShardError) -> BackupState {
        try await answer(context) {
            $0.records = records
            $0.previous = previous
        }.backup
    }

    func digest(
        of ranges: [VirtualShardRange], context: RequestContext
    ) async throws(ShardError) -> ReplicaDigest {
        try await answer(context) { $0.digested = ranges }.digest
    }

    func links(_ request: LinkRequest, context: RequestContext) async throws(ShardError) -> LinkPage? {
        try await answer(context) { $0.wantedLinks = request }.links
    }

    func beginSnapshot(_ offer: SnapshotOffer, context: RequestContext) async throws(ShardError) {
        _ = try await answer(context) { $0.offer = offer }
    }

    func receiveSnapshot(_ chunk: SnapshotChunk, context: RequestContext) async throws(ShardError) {
        _ = try await answer(context) { $0.chunk = chunk }
    }

    func finishSnapshot(
        transfer: UInt64, checksums: [String: UInt64], context: RequestContext
    ) async throws(ShardError) -> BackupState {
        try await answer(context) { $0.finished = (transfer, checksums) }.backup
    }
}

/// Hosts one replica under one shard's id.
struct FakeHost: ReplicaHost {
    var id = FakeHost.id
    var replica: FakeReplica

    static let id = ShardID(collection: CollectionID("0123456789abcdef0123456789abcdef"), number: ShardNumber(3))

    func shard(_ id: ShardID) async throws(ShardError) -> any ShardService {
        guard id == self.id else { throw .notHosted(id) }
        return replica
    }

    func replica(_ id: ShardID) async throws(ShardError) -> any ReplicaService {
        guard id == self.id else { throw .notHosted(id) }
        return replica
    }
}

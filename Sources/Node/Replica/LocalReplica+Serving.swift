import Cluster
import DataModel
import Shard
import Synchronization

extension LocalReplica: ShardService {
    func search(
        _ searches: [SearchRequest], context: RequestContext
    ) async throws(ShardError) -> [SearchAnswer] {
        try await serving(context) { (shard) throws(ShardError) in
            let began = ContinuousClock.now
            defer { noteSearch(since: began) }
            return try await shard.search(searches, deadline: context.deadline)
        }
    }

    func retrieve(_ request: RetrieveRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await serving(context, settled: request.isSettled) { (shard) throws(ShardError) in
            try await shard.retrieve(request, deadline: context.deadline)
        }
    }

    func scroll(_ request: ScrollRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await serving(context, settled: request.isSettled) { (shard) throws(ShardError) in
            try await shard.scroll(request, deadline: context.deadline)
        }
    }

    func count(_ filter: Filter?, context: RequestContext) async throws(ShardError) -> UInt64 {
        try await serving(context) { (shard) throws(ShardError) in
            guard let filter else { return shard.count() }
            return try await shard.count(filter, deadline: context.deadline)
        }
    }

    func write(_ request: WriteRequest, context: RequestContext) async throws(ShardError) -> WriteReceipt {
        try ServingRight.check(epoch: context.epoch, against: try await servingRecord(context))
        let shell = try primaryShell()
        // It follows the records a moment later, and until then asks for fewer acknowledgements than a shard that serves.
        guard shell.record.filling == nil else { throw .notServing(reason: "the shard is taking over") }
        let result = try await sound { (_) throws(ShardError) in
            try await shell.write(request, deadline: context.deadline)
        }
        let sequence = try result.get()
        // The process may have been stopped in between, and another primary may have taken over since. Where the shard is
        // gone others have taken its place, with all that was acknowledged.
        if try await isThere(), try await servingRecord(context).primary != node { throw .notPrimary }
        return WriteReceipt(sequence: sequence)
    }

    /// Whether the map still has the shard.
    private func isThere() async throws(ShardError) -> Bool {
        try await environment.stateForAnswers().shard(id) != nil
    }

    private func primaryShell() throws(ShardError) -> PrimaryShell {
        if let shell = state.withLock({ $0.shell }), !shell.isOver { return shell }
        _ = try shard()
        throw cachedPrimary == node ? .notServing(reason: "the primary is taking over") : .notPrimary
    }

    func status(deadline: Deadline) async throws(ShardError) -> ReplicaStatus {
        let phase = state.withLock { $0.phase }
        if case .damaged(let reason) = phase {
            return ReplicaStatus(
                position: .start, points: 0, indexedRows: 0, unindexedRows: 0, diskBytes: 0,
                damage: "damaged data: \(reason)")
        }
        // Whoever waits for the replica learns why; requests try another one.
        if case .failed(let error, _) = phase { throw error }
        var status = try shard().status()
        status.searchMicroseconds = searchMicroseconds
        return status
    }

    func maintain(_ task: MaintenanceTask, deadline: Deadline) async throws(ShardError) -> MaintenanceResult {
        switch task {
        case .compact:
            let shard = try shard()
            let dead = shard.deadRows
            shard.beginCompaction()
            return MaintenanceResult(summary: "a compaction begins, \(dead) rows are dead")
        case .verify:
            let report = try await shard().verify()
            let comparison = await compareWithBackups()
            return MaintenanceResult(
                summary: [report.summary, comparison?.summary ?? ""].filter { !$0.isEmpty }.joined(separator: "; "),
                findings: report.allFindings + (comparison?.findings ?? []))
        case .repair:
            try await beginRepair()
            return MaintenanceResult(summary: "its files are put aside, and it is filled anew from its primary")
        }
    }

    private var cachedPrimary: NodeID? { environment.cache.current.shard(id)?.value.primary }

    // MARK: - The right to answer

    /// Does the work only as an in-sync replica of a node with a lease, which is made sure of before and after: before,
    /// so that every write acknowledged until then is in the answer; after, since the process may have been stopped for
    /// long in between.
    ///
    /// Who allows a stale answer gets one of whatever is here, unless that is damaged.
    ///
    /// - Parameter settled: only as the primary, and when all that the work can have seen is acknowledged.
    func serving<Answer>(
        _ context: RequestContext, settled: Bool = false, _ work: (Shard) async throws(ShardError) -> Answer
    ) async throws(ShardError) -> Answer {
        guard !context.isStaleAllowed else { return try await sound(work) }
        try ServingRight.check(epoch: context.epoch, against: try await servingRecord(context))
        let shell = settled ? try primaryShell() : nil
        let answer = try await sound(work)
        try await shell?.settle(deadline: context.deadline)
        let record = try await servingRecord(context)
        if settled, record.primary != node { throw .notPrimary }
        return answer
    }

    /// Whoever meets damage takes the replica out of service; another one may answer instead.
    private func sound<Answer>(
        _ work: (Shard) async throws(ShardError) -> Answer
    ) async throws(ShardError) -> Answer {
        do throws(ShardError) {
            return try await work(try shard())
        } catch {
            guard case .corrupted(let reason) = error, case .open = state.withLock({ $0.phase }) else { throw error }
            quarantineIfDamaged()
            throw quarantined(reason)
        }
    }

    /// The shard's record, by which this replica may answer: the newest, or no older than what the request's sender
    /// knows and than what primaries wait for (`PrimaryState.unsettled`).
    ///
    /// - Throws: `notServing` without a lease or outside the in-sync set, `notHosted`.
    func servingRecord(_ context: RequestContext) async throws(ShardError) -> ShardRecord {
        guard environment.lease.holds else { throw .notServing(reason: "node \(node) holds no lease") }
        var current = try await environment.stateForAnswers()
        if !ServingRight.suffices(current, for: context.epoch, of: id) { current = try await environment.freshState() }
        return try ServingRight.record(of: id, on: node, in: current, holdsLease: environment.lease.holds)
    }
}

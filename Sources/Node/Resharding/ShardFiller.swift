import Cluster
import DataModel
import Logging
import Shard
import Synchronization

/// Fills a new shard from those that it will replace, or replace a part of: copies points, follows the writes of that time
/// until its graph is built, then through its log, so that its backups follow too, until it takes over.
final class ShardFiller: Sendable {
    /// Rows that are not in the graph when the shard gets its log; searches would scan them.
    private static let closeRows = 256
    /// Writes that it may lag behind then.
    private static let closeWrites: UInt64 = 64
    /// With so many it is not to take over.
    private static let farWrites: UInt64 = 512
    /// The log begins so far behind the last write of the sources: the writes that come before the shard takes over get
    /// versions of theirs, and each version has to be smaller than those that come after.
    private static let sequenceGap: UInt64 = 1 << 32
    private static let reportInterval: Duration = .milliseconds(300)
    /// Between looks at logs while the graph is being built, and when only little is missing.
    private static let followInterval: Duration = .milliseconds(100)
    private static let closeInterval: Duration = .milliseconds(20)
    private static let copyingFollowInterval: Duration = .seconds(1)
    private static let keepInterval: Duration = .seconds(10)
    private static let goalPoll: Duration = .milliseconds(2)
    private static let writeTimeout: Duration = .seconds(10)
    private static let requestsPerWrite = 4_096

    private struct State {
        var task: Task<Void, Never>?
        var goal: [FillEnd]?
        var reached: LogPosition?
        var failure: ShardError?
        var isFollowing = false
    }

    private let replica: LocalReplica
    private let shard: Shard
    private let record: ShardRecord
    private let plan: ReshardPlan
    private let operation: OperationRecord
    private let state = Mutex(State())

    init(replica: LocalReplica, shard: Shard, record: ShardRecord, plan: ReshardPlan, operation: OperationRecord) {
        (self.replica, self.shard, self.record) = (replica, shard, record)
        (self.plan, self.operation) = (plan, operation)
    }

    private var environment: ReplicaEnvironment { replica.environment }

    func start() {
        let task = Task {
            await run()
            // It holds the shard, whose files could never be replaced.
            replica.forget(self)
        }
        state.withLock { $0.task = task }
    }

    /// Returns when nothing is done with the shard any more.
    func end() async {
        let task = state.withLock { $0.task }
        task?.cancel()
        await task?.value
    }

    /// Applies everything up to the ends of the sources, which take no writes meanwhile.
    ///
    /// - Returns: the last write of the new shard, which is on all its in-sync replicas.
    func finish(_ ends: [FillEnd], deadline: Deadline) async throws(ShardError) -> LogPosition {
        try state.withLock { (state) throws(ShardError) in
            guard state.isFollowing, state.failure == nil else {
                throw .notServing(reason: "shard \(record.id.number) has not caught up yet")
            }
            (state.goal, state.reached) = (ends, nil)
        }
        defer { state.withLock { $0.goal = nil } }
        while !deadline.isPast {
            let (reached, failure) = state.withLock { ($0.reached, $0.failure) }
            if let failure { throw failure }
            if let reached {
                // Versions in the source and here are of one kind: what comes next must be newer than all.
                guard ends.allSatisfy({ $0.position.sequence < reached.sequence }) else {
                    throw .invalid(reason: "the sources were written too often meanwhile")
                }
                return reached
            }
            guard (try? await Task.sleep(for: .milliseconds(1))) != nil else { break }
        }
        throw .deadlineExceeded
    }

    // MARK: - The work

    private func run() async {
        var progress = FillProgress(record: record, plan: plan, operation: operation, environment: environment)
        do throws(ShardError) {
            try shard.beginFilling()
            try await shard.setPayloadIndexes(replica.state.withLock { $0.payloadIndexes.wanted })
            var sources = makeSources()
            for index in sources.indices { try await copy(index, of: &sources, &progress) }
            try await followUntilIndexed(&sources, &progress)
            try await takeLog(sources)
            try await adoptRequests(sources)
            await progress.report(.following, rows: shard.count(), force: true)
            state.withLock { $0.isFollowing = true }
            try await followLogs(&sources, &progress)
        } catch {
            if Task.isCancelled { return }
            replica.logger.warning("The shard cannot be filled: \(error)")
            state.withLock { $0.failure = error }
            while !Task.isCancelled, isWanted {
                await progress.report(.init(error), rows: shard.count(), detail: error.description, force: true)
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    private func makeSources() -> [FillSource] {
        let current = environment.cache.current
        let wanted = VirtualShardSet(record.virtualShards)
        return plan.sources.compactMap { id in
            let owned = wanted.intersection(VirtualShardSet(current.shard(id)?.value.virtualShards ?? []))
            return owned.isEmpty
                ? nil
                : FillSource(
                    id, owned: owned, isOnlySource: owned == wanted, reader: record.id.number,
                    environment: environment)
        }
    }

    /// Takes a source's points, and meanwhile what is written to those that were begun: a log is kept for a reader only
    /// while it reads.
    private func copy(
        _ index: Int, of sources: inout [FillSource], _ progress: inout FillProgress
    ) async throws(ShardError) {
        try await sources[index].begin()
        var place: [UInt8]?
        var followed = ContinuousClock.now
        repeat {
            let start = ContinuousClock.now
            if start - followed > Self.copyingFollowInterval {
                try await follow(&sources[...index])
                followed = .now
            }
            let page = try await sources[index].page(from: place)
            try await shard.fill(page.points, deleting: [])
            place = page.next
            progress.add(page.points)
            await progress.report(.copying, rows: shard.count())
            try await pause(progress.pause(after: ContinuousClock.now - start, of: page.points))
        } while place != nil
    }

    /// Applies what is written meanwhile, until nearly all rows are in the graph.
    private func followUntilIndexed(
        _ sources: inout [FillSource], _ progress: inout FillProgress
    ) async throws(ShardError) {
        while true {
            try await follow(&sources[...])
            let waiting = shard.unindexedRows
            await progress.report(.indexing, rows: shard.count(), detail: "\(waiting) rows wait to be indexed")
            let isClose = sources.allSatisfy { $0.isSettled && $0.lag <= Self.closeWrites }
            if isClose, waiting <= Self.closeRows, hasPayloadIndexes { return }
            // Far behind, the next page is to be had at once.
            if isClose || waiting > Self.closeRows { try await pause(Self.followInterval) }
        }
    }

    /// Applies a page of what was written to each source since.
    private func follow(_ sources: inout ArraySlice<FillSource>) async throws(ShardError) {
        for index in sources.indices {
            let page = try await sources[index].news()
            if !page.points.isEmpty || !page.deleted.isEmpty {
                try await shard.fill(page.points, deleting: page.deleted)
            }
            sources[index].advance(past: page)
        }
    }

    private var hasPayloadIndexes: Bool {
        let wanted = replica.state.withLock { $0.payloadIndexes.wanted }
        guard let statuses = try? shard.payloadIndexes() else { return false }
        return wanted.allSatisfy { config in statuses.contains { $0.config == config && $0.progress >= 1 } }
    }

    /// Gives the shard its log, and the replica the primary's role.
    private func takeLog(_ sources: [FillSource]) async throws(ShardError) {
        let newest = sources.map { max($0.acknowledged, $0.position.sequence).rawValue }.max() ?? 0
        // To make a large shard durable may take longer than logs are kept for a silent reader.
        let keeper = Task { await keepLogs(of: sources) }
        defer { keeper.cancel() }
        try await shard.endFilling(
            at: LogPosition(sequence: SequenceNumber(newest + Self.sequenceGap), epoch: record.epoch))
        replica.endFilling()
        while replica.state.withLock({ $0.shell }) == nil {
            // Damage may have taken it out of service.
            _ = try replica.shard()
            guard isWanted else { throw .notServing(reason: "the shard is not to be filled any more") }
            replica.follow(environment.cache.current)
            try await pause(Self.goalPoll)
        }
    }

    private func keepLogs(of sources: [FillSource]) async {
        while (try? await Task.sleep(for: Self.keepInterval)) != nil {
            for source in sources { await source.keepLog() }
        }
    }

    /// Applies what is written through the shard's own log, until it has taken over.
    private func followLogs(_ sources: inout [FillSource], _ progress: inout FillProgress) async throws(ShardError) {
        while isWanted {
            for index in sources.indices {
                let page = try await sources[index].news()
                if !page.isEmpty {
                    try await adopt(page.points, deleting: page.deleted, sources[index].moved(page.requests))
                }
                sources[index].advance(past: page)
            }
            noteGoal(sources)
            await reportLag(of: sources, &progress)
            let wakes = ContinuousClock.now + Self.closeInterval
            while state.withLock({ $0.goal == nil || $0.reached != nil }), ContinuousClock.now < wakes {
                try await pause(Self.goalPoll)
            }
        }
    }

    /// Lets the shard know the writes that its sources have done: what comes again is not to be done again.
    private func adoptRequests(_ sources: [FillSource]) async throws(ShardError) {
        let total = sources.reduce(0) { $0 + $1.requests.count }
        // All together no more than a shard remembers: the newest, the same part of each.
        let share = min(1, Double(Limits.rememberedWrites) / Double(max(total, 1)))
        for source in sources {
            let known = Array(source.requests.suffix(Int(Double(source.requests.count) * share)))
            for first in stride(from: 0, to: known.count, by: Self.requestsPerWrite) {
                try await adopt([], deleting: [], Array(known[first..<min(first + Self.requestsPerWrite, known.count)]))
            }
        }
    }

    private func adopt(
        _ points: [VersionedPoint], deleting deleted: [LogPage.DeletedPoint], _ requests: [RememberedWrite]
    ) async throws(ShardError) {
        guard let shell = replica.state.withLock({ $0.shell }) else { throw .notPrimary }
        try await shell.adopt(
            .adopt(points, deleting: deleted.map(\.id), requests: requests), deadline: .after(Self.writeTimeout))
    }

    /// Keeps writes from being held up for a shard that would not be there in time.
    private func reportLag(of sources: [FillSource], _ progress: inout FillProgress) async {
        let lag = sources.map(\.lag).max() ?? 0
        let phase: OperationProgress.Filling.Phase = lag <= Self.closeWrites ? .following : .behind
        // Not back and forth with every page.
        guard phase != progress.lastPhase || progress.isMisunderstood, phase == .following || lag > Self.farWrites else {
            return
        }
        await progress.report(
            phase, rows: shard.count(), detail: phase == .behind ? "\(lag) writes behind" : "", force: true)
    }

    /// Tells `finish` when everything is there that it waits for.
    private func noteGoal(_ sources: [FillSource]) {
        state.withLock { state in
            guard let goal = state.goal else { return }
            let isReached = sources.allSatisfy { source in
                goal.contains { $0.shard == source.id.number && $0.position == source.position }
            }
            if isReached { state.reached = shard.position }
        }
    }

    /// Whether the shard is still to be filled: it serves, or is given up, when not.
    private var isWanted: Bool {
        environment.cache.current.shard(record.id)?.value.filling == record.filling
    }

    private func pause(_ time: Duration) async throws(ShardError) {
        guard time > .zero else { return }
        do { try await Task.sleep(for: time) } catch { throw .notServing(reason: "the filling was cancelled") }
    }
}

import Cluster
import DataModel

/// Fills a new shard from those that it will replace, or replace a part of: what `ShardFiller` does, by the same decisions.
final class SimulatedFiller {
    private static let closeWrites: UInt64 = 4
    private static let farWrites: UInt64 = 12
    private static let sequenceGap: UInt64 = 1 << 32
    private static let followInterval = 100_000
    private static let closeInterval = 20_000
    private static let poll = 2_000
    private static let settlingTime = 2_000_000
    private static let writeTimeout = 10_000_000

    private unowned let replica: SimulatedReplica
    private let node: SimulatedNode
    private let shard: SimulatedShard
    private let record: ShardRecord
    private let plan: ReshardPlan
    private let operation: OperationRecord
    private var sources: [SimulatedFillSource] = []
    private var lastPhase: OperationProgress.Filling.Phase?
    private var lastReport = 0
    private var isFollowing = false
    private var failure: ShardError?
    private var goal: [ShardID: LogPosition]?
    private var reached: LogPosition?
    private var isEnded = false

    init(
        _ replica: SimulatedReplica, _ shard: SimulatedShard, _ record: ShardRecord, _ plan: ReshardPlan,
        _ operation: OperationRecord
    ) {
        self.replica = replica
        node = replica.node
        (self.shard, self.record, self.plan, self.operation) = (shard, record, plan, operation)
    }

    private var simulation: Simulation { node.simulation }

    /// Whether the shard is still to be filled: it serves, or is given up, when not.
    private var isWanted: Bool { node.cache.shard(record.id)?.value.filling == record.filling }

    func end() { isEnded = true }

    private func after(_ delay: Int, _ body: @escaping () -> Void) {
        node.process.after(delay) { [self] in if !isEnded { body() } }
    }

    /// What was heard from a source; the filling is over when it failed for good.
    private func heard<Answer>(_ result: Result<Answer, ShardError>, _ body: (Answer) -> Void) {
        if isEnded { return }
        switch result {
        case .success(let answer): body(answer)
        case .failure(let error): fail(error)
        }
    }

    private func fail(_ error: ShardError) {
        simulation.trace("node \(node.id): shard \(record.id.number) cannot be filled, \(error)")
        failure = error
        repeatFailure(error)
    }

    private func repeatFailure(_ error: ShardError) {
        guard isWanted else { return }
        report(.init(error), detail: error.description) { [self] in
            after(1_000_000) { [self] in repeatFailure(error) }
        }
    }

    // MARK: - The work

    func run() {
        guard shard.position == .start, shard.files.points.isEmpty else {
            return fail(.storage(reason: "a shard that is to be filled is not empty"))
        }
        let wanted = VirtualShardSet(record.virtualShards)
        sources = plan.sources.compactMap { id in
            let owned = wanted.intersection(VirtualShardSet(node.cache.shard(id)?.value.virtualShards ?? []))
            return owned.isEmpty ? nil : SimulatedFillSource(id, owned, reader: record.id.number, node)
        }
        copy(0)
    }

    private func copy(_ index: Int) {
        guard index < sources.count else { return followUntilIndexed() }
        sources[index].begin { [self] result in heard(result) { copy(index, from: 0) } }
    }

    private func copy(_ index: Int, from key: Int) {
        let read = { [self] in
            sources[index].page(from: key) { [self] result in
                heard(result) { page in
                    for (key, point) in page.points { take(key, point) }
                    let pause = simulation.random.within(100...simulation.profile.fsync)
                    after(pause) { [self] in
                        if let next = page.next { copy(index, from: next) } else { copy(index + 1) }
                    }
                }
            }
        }
        if simulation.random.chance(0.3) { follow(sources[...index], then: read) } else { read() }
    }

    private func take(_ key: Int, _ point: SimulatedFiles.Point) {
        if point.value == nil {
            node.files[record.id]?.noteDeletion(of: key, point.version)
        } else {
            node.files[record.id]?.fill(key, point)
        }
    }

    /// Applies what is written meanwhile, until nearly everything is there.
    private func followUntilIndexed() {
        follow(sources[...]) { [self] in
            let isClose = sources.allSatisfy { $0.isSettled && $0.lag <= Self.closeWrites }
            let isIndexed = simulation.random.chance(simulation.profile.fillRate)
            if isClose && isIndexed { return takeLog() }
            after(isClose ? Self.followInterval : 1) { [self] in followUntilIndexed() }
        }
    }

    private func follow(_ sources: ArraySlice<SimulatedFillSource>, then body: @escaping () -> Void) {
        guard let source = sources.first else { return body() }
        source.news { [self] result in
            heard(result) { page in
                for (key, point) in page.points { node.files[record.id]?.fill(key, point) }
                source.advance(past: page)
                follow(sources.dropFirst(), then: body)
            }
        }
    }

    /// Gives the shard its log, and the replica the primary's role.
    private func takeLog() {
        let newest = sources.map { max($0.acknowledged, $0.position.sequence).rawValue }.max() ?? 0
        after(simulation.random.within(500...simulation.profile.fsync * 3)) { [self] in
            let base = LogPosition(sequence: SequenceNumber(newest + Self.sequenceGap), epoch: record.epoch)
            node.files[record.id]?.beginLog(at: base)
            replica.isFilled = true
            replica.follow(node.cache)
            awaitRole()
        }
    }

    private func awaitRole() {
        if replica.primary == nil {
            guard isWanted else { return fail(.notServing(reason: "not to be filled any more")) }
            replica.follow(node.cache)
            return after(Self.poll) { [self] in awaitRole() }
        }
        report(.following) { [self] in
            isFollowing = true
            followLogs()
        }
    }

    /// Applies what is written through the shard's own log, until it has taken over.
    private func followLogs() {
        guard isWanted else { return }
        adoptNews(of: sources[...]) { [self] in
            noteGoal()
            reportLag { [self] in rest(until: simulation.now + Self.closeInterval) }
        }
    }

    private func rest(until end: Int) {
        let isAwaited = goal != nil && reached == nil
        if isAwaited || simulation.now >= end { return followLogs() }
        after(Self.poll) { [self] in rest(until: end) }
    }

    private func adoptNews(of sources: ArraySlice<SimulatedFillSource>, then body: @escaping () -> Void) {
        guard let source = sources.first else { return body() }
        source.news { [self] result in
            heard(result) { page in
                adopt(page.points.sorted { $0.key < $1.key }[...]) { [self] in
                    source.advance(past: page)
                    adoptNews(of: sources.dropFirst(), then: body)
                }
            }
        }
    }

    private func adopt(_ points: ArraySlice<(key: Int, value: SimulatedFiles.Point)>, then body: @escaping () -> Void) {
        guard let (key, point) = points.first else { return body() }
        guard let primary = replica.primary else { return fail(.notPrimary) }
        primary.write(.adopt(key: key, point), deadline: simulation.now + Self.writeTimeout) { [self] result in
            heard(result) { position in
                simulation.judge.acknowledged(position, in: record.id, by: node.id, client: false)
                adopt(points.dropFirst(), then: body)
            }
        }
    }

    // MARK: - What is told

    /// Keeps writes from being held up for a shard that would not be there in time.
    private func reportLag(then body: @escaping () -> Void) {
        let lag = sources.map(\.lag).max() ?? 0
        let phase: OperationProgress.Filling.Phase = lag <= Self.closeWrites ? .following : .behind
        guard phase != lastPhase || isMisunderstood, phase == .following || lag > Self.farWrites else { return body() }
        report(phase, then: body)
    }

    /// A word that was given up as unanswered may have come after the last one.
    private var isMisunderstood: Bool {
        guard simulation.now - lastReport > Self.settlingTime, let record = node.cache.shard(record.id)?.value,
            let known = node.cache.fillingProgress(of: record)?.phase
        else { return false }
        return known != lastPhase
    }

    /// Again and again until the store has it, or nobody waits for it.
    private func report(
        _ phase: OperationProgress.Filling.Phase, detail: String = "", then body: @escaping () -> Void
    ) {
        (lastPhase, lastReport) = (phase, simulation.now)
        guard !isEnded, let present = node.cache.shard(record.id), present.value.filling != nil else { return body() }
        let progress = OperationProgress(
            bytesDone: 0, bytesTotal: 0, filling: OperationProgress.Filling(phase: phase, rows: 0, detail: detail))
        let key = ControlKey.progress(operation.id, record.id.number)
        node.transaction(
            [ControlGuard(key: ControlKey.shard(record.id), expected: present.revision)],
            [.put(key: key, value: progress.encoded)]
        ) { [self] result in
            if case .success(.committed) = result { return body() }
            node.refresh { [self] _ in after(100_000) { [self] in report(phase, detail: detail, then: body) } }
        }
    }

    // MARK: - Taking over

    /// Applies everything up to the ends of the sources, which take no writes meanwhile.
    func finish(
        _ ends: [ShardID: LogPosition], deadline: Int, reply: @escaping (Result<LogPosition, ShardError>) -> Void
    ) {
        guard isFollowing, failure == nil else { return reply(.failure(.notServing(reason: "has not caught up yet"))) }
        (goal, reached) = (ends, nil)
        awaitGoal(ends, deadline: deadline, reply: reply)
    }

    private func awaitGoal(
        _ ends: [ShardID: LogPosition], deadline: Int, reply: @escaping (Result<LogPosition, ShardError>) -> Void
    ) {
        let answer = { [self] (result: Result<LogPosition, ShardError>) in
            goal = nil
            reply(result)
        }
        if let failure { return answer(.failure(failure)) }
        if let reached {
            guard ends.values.allSatisfy({ $0.sequence < reached.sequence }) else {
                return answer(.failure(.invalid(reason: "the sources were written too often meanwhile")))
            }
            return answer(.success(reached))
        }
        guard simulation.now < deadline else { return answer(.failure(.deadlineExceeded)) }
        node.process.after(1_000) { [self] in awaitGoal(ends, deadline: deadline, reply: reply) }
    }

    /// Tells `finish` when everything is there that it waits for.
    private func noteGoal() {
        guard let goal, sources.allSatisfy({ goal[$0.id] == $0.position }) else { return }
        reached = shard.position
    }
}

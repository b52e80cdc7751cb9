import Cluster
import DataModel

/// A read as every shard that it touches is asked for it.
struct ShardRead<Answer: Sendable>: Sendable {
    let collection: CollectionRecord
    let kind: ReadKind
    var options = ReadOptions.standard
    /// The node whose replicas alone may answer; nil for any.
    var only: NodeID?
    /// Whether the primary alone answers, and only what is acknowledged.
    var isSettled = false
    let deadline: Deadline
    /// The bytes that all answers together will take about, see `Record.estimatedFootprint`; 0 for next to nothing.
    var expectedBytes = 0
    /// The bytes that one answer takes.
    var footprint: @Sendable (Answer) -> Int = { _ in 0 }
    /// Of several replicas of one shard; at least one answer.
    let merge: @Sendable ([Answer]) -> Answer
    /// Asks one replica of the shard.
    let ask: @Sendable (any ShardService, ShardID, RequestContext) async throws(ShardError) -> Answer

    /// With partial results a quarter of the time is kept for answering without the shards that do not answer.
    var shardDeadline: Deadline {
        options.allowsPartial ? .after(max(deadline.remaining, .zero) * 3 / 4) : deadline
    }

    /// How long to try again while the cluster settles: a read that shall tell soon what is missing does not wait.
    var patience: Deadline {
        let isWhole = !options.allowsPartial && options.consistency == .one
        return min(deadline, .after(isWhole ? Coordinator.readPatience : Coordinator.settlingPatience))
    }
}

extension Coordinator {
    typealias Read<Answer> = @Sendable (any ShardService, RequestContext) async throws(ShardError) -> Answer

    /// Reads from the shards, all at once.
    ///
    /// - Returns: the answers in the order of the shards; nil for one that is left out, see `ReadOptions.allowsPartial`.
    func readAll<Answer: Sendable>(
        _ shards: [ShardID], _ read: ShardRead<Answer>
    ) async throws(DatabaseError) -> [Answer?] {
        guard !read.deadline.isPast else { throw .deadlineExceeded(reason: "the deadline passed before the shards were asked") }
        let memory = read.expectedBytes > 0 ? RequestMemory.current : nil
        try await memory?.expectAnswers(read.expectedBytes, deadline: read.deadline)
        let answers = try await concurrently(shards) { (shard) throws(DatabaseError) in
            guard let answer = try await self.readOrLeaveOut(shard, read) else { return ShardAnswer<Answer>(value: nil) }
            try await memory?.answered(read.footprint(answer), deadline: read.deadline)
            return ShardAnswer(value: answer)
        }
        return answers.map(\.value)
    }

    private func readOrLeaveOut<Answer>(
        _ shard: ShardID, _ read: ShardRead<Answer>
    ) async throws(DatabaseError) -> Answer? {
        do throws(DatabaseError) {
            return try await read.isSettled ? self.readSettled(shard, read) : self.read(shard, read)
        } catch {
            // One that was split or merged is not missing: others have its points.
            guard read.options.allowsPartial, error.isForLackOfReplicas, cache.current.shard(shard) != nil else {
                throw error
            }
            return nil
        }
    }

    /// What is told of a read beside its value.
    func reading<Value: Sendable, Answer>(
        _ value: Value, from shards: [ShardID], _ answers: [Answer?], _ options: ReadOptions
    ) -> Reading<Value> {
        let missing = zip(shards, answers).filter { $0.1 == nil }.map(\.0.number).sorted()
        if !missing.isEmpty { metrics.countPartialRead() }
        if options.consistency == .stale { metrics.countStaleRead() }
        return Reading(value, missingShards: missing, isStale: options.consistency == .stale)
    }

    /// Reads from one shard: from its replicas in turn, again and again while the cluster settles.
    ///
    /// - Throws: `unavailable`, which names the shard, when not enough replicas answered in time.
    func read<Answer: Sendable>(
        _ shard: ShardID, _ read: ShardRead<Answer>
    ) async throws(DatabaseError) -> Answer {
        let (deadline, patience) = (read.shardDeadline, read.patience)
        let (isStale, name) = (read.options.consistency == .stale, read.collection.name)
        var backoff = Backoff()
        var state = cache.current
        var isFirst = true
        while true {
            guard let record = state.shard(shard)?.value else { throw state.error(missing: shard, of: name) }
            let candidates = ReadCandidates(
                of: record, in: state, consistency: read.options.consistency,
                copies: read.collection.config.replicationFactor, localNode: node, only: read.only)
            let mayRetry: Bool
            let failure: DatabaseError
            if let lack = candidates.lack {
                failure = .unavailable(reason: "shard \(shard.number) of collection \(name): \(lack)")
                // A state that says so twice is no passing one, for a reader who wants to know soon.
                mayRetry = isFirst || (read.options.consistency == .one && !read.options.allowsPartial)
            } else {
                let context = RequestContext(epoch: record.epoch, deadline: deadline, isStaleAllowed: isStale)
                switch await race(record.id, candidates, read, context) {
                case .success(let answers): return read.merge(answers)
                case .failure(let error):
                    failure = DatabaseError(error, collection: name, shard: shard.number)
                    mayRetry = error.isTransient
                }
            }
            guard mayRetry, await backoff.pause(until: patience) else { throw failure }
            metrics.countRetriedRead()
            isFirst = false
            state = try await stateForAnswers(isStale: isStale)
        }
    }

    private func race<Answer: Sendable>(
        _ shard: ShardID, _ candidates: ReadCandidates, _ read: ShardRead<Answer>, _ context: RequestContext
    ) async -> Result<[Answer], ShardError> {
        let (router, ask) = (router, read.ask)
        let race = ReplicaRace(preference: preference, metrics: metrics, kind: read.kind) {
            (node) throws(ShardError) in
            try await ask(router.service(for: shard, on: node), shard, context)
        }
        let nodes = candidates.groups.flatMap { preference.ordered($0, for: read.kind) }
        return await race.run(nodes, needed: candidates.needed, asked: candidates.asked)
    }

    /// Runs `body` for all elements at once; the results are in their order. The first failure cancels the others.
    func concurrently<Element: Sendable, Value: Sendable>(
        _ elements: [Element], _ body: @escaping @Sendable (Element) async throws(DatabaseError) -> Value
    ) async throws(DatabaseError) -> [Value] {
        if elements.count == 1 { return [try await body(elements[0])] }
        let outcome: Result<[Value], DatabaseError> = await withTaskGroup(of: Part<Value>.self) { group in
            for (index, element) in elements.enumerated() {
                group.addTask { await Part(index: index, of: element, body) }
            }
            var values = [Value?](repeating: nil, count: elements.count)
            for await part in group {
                switch part.result {
                case .success(let value): values[part.index] = value
                case .failure(let error):
                    group.cancelAll()
                    return .failure(error)
                }
            }
            return .success(values.compactMap { $0 })
        }
        return try outcome.get()
    }
}

/// What one shard answered; nil when it is left out.
private struct ShardAnswer<Value: Sendable>: Sendable {
    let value: Value?
}

extension DatabaseError {
    /// Whether a shard has nobody who answers for it, or not in time.
    fileprivate var isForLackOfReplicas: Bool {
        switch self {
        case .unavailable, .deadlineExceeded: true
        default: false
        }
    }
}

/// What one of several concurrent tasks found. A struct, and made by its init: the compiler (6.3) miscompiles a tuple
/// with a typed `Result` that leaves a task group.
private struct Part<Value: Sendable>: Sendable {
    let index: Int
    let result: Result<Value, DatabaseError>

    init<Element: Sendable>(
        index: Int, of element: Element, _ body: (Element) async throws(DatabaseError) -> Value
    ) async {
        self.index = index
        do throws(DatabaseError) {
            result = .success(try await body(element))
        } catch {
            result = .failure(error)
        }
    }
}

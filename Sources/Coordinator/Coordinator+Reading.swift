import Cluster
import DataModel

extension Coordinator {
    typealias Read<Answer> = @Sendable (any ShardService, RequestContext) async throws(ShardError) -> Answer

    /// Reads from every shard of the table at once.
    ///
    /// - Parameter units: how many searches one shard's read carries.
    /// - Returns: the answers in the order of the table's shards.
    func readAll<Answer: Sendable>(
        _ table: RoutingTable, units: Int = 1, deadline: Deadline, _ work: @escaping Read<Answer>
    ) async throws(DatabaseError) -> [Answer] {
        let collection = table.collection.value.name
        return try await concurrently(table.shards) { (shard) throws(DatabaseError) in
            try await self.read(shard.value.id, of: collection, units: units, deadline: deadline, work)
        }
    }

    /// Reads from one shard: from its in-sync replicas in turn, again and again while the cluster settles.
    ///
    /// - Parameter only: the node whose replica alone may answer; nil for any.
    /// - Throws: `unavailable`, which names the shard, when no replica answered in time.
    func read<Answer: Sendable>(
        _ shard: ShardID, of collection: String, units: Int = 1, only: NodeID? = nil, deadline: Deadline,
        _ work: @escaping Read<Answer>
    ) async throws(DatabaseError) -> Answer {
        let patience = min(deadline, .after(Self.readPatience))
        var backoff = Backoff()
        var state = cache.current
        while true {
            guard let record = state.shard(shard)?.value else { throw state.error(missing: shard, of: collection) }
            let context = RequestContext(epoch: record.epoch, deadline: deadline)
            let failure: ShardError
            let replicas = record.inSync.filter { state.isLive($0) && (only == nil || only == $0) }
            if replicas.isEmpty {
                failure = .notServing(reason: "no in-sync replica is alive")
            } else {
                let router = router
                let race = ReplicaRace(preference: preference, units: units) { (node) throws(ShardError) in
                    try await work(router.service(for: shard, on: node), context)
                }
                switch await race.run(preference.ordered(replicas)) {
                case .success(let answer): return answer
                case .failure(let error): failure = error
                }
            }
            guard failure.isTransient, await backoff.pause(until: patience) else {
                throw DatabaseError(failure, collection: collection, shard: shard.number)
            }
            metrics.countRetriedRead()
            state = try await stateForAnswers()
        }
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

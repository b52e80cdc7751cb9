package import DataModel
internal import Synchronization

extension Shard {
    /// Answers each search, in order; results come best first.
    ///
    /// - Throws: `invalid` when a search contradicts the schema, `deadlineExceeded` when its turn came too late.
    package func search(_ searches: [SearchRequest], deadline: Deadline) async throws(ShardError) -> [SearchAnswer] {
        if searches.count == 1 { return [try await onSearchThread(deadline) { try self.answer(searches[0]) }] }
        // Each on its own, so that a batch uses all cores.
        var results = [Result<SearchAnswer, ShardError>](
            repeating: .success(SearchAnswer(points: [])), count: searches.count)
        await withTaskGroup(of: NumberedAnswer.self) { group in
            for (index, search) in searches.enumerated() {
                group.addTask { await self.answer(number: index, to: search, deadline) }
            }
            for await answer in group { results[answer.number] = answer.result }
        }
        var answers: [SearchAnswer] = []
        for result in results { answers.append(try result.get()) }
        return answers
    }

    /// A struct, and a method that makes it: as a tuple that leaves a task group, the compiler (6.3.1, optimised) reads
    /// the number from the wrong place.
    private struct NumberedAnswer: Sendable {
        var number: Int
        var result: Result<SearchAnswer, ShardError>
    }

    private func answer(number: Int, to search: SearchRequest, _ deadline: Deadline) async -> NumberedAnswer {
        let result = await resultOnSearchThread(deadline) { try self.answer(search) }
        return NumberedAnswer(number: number, result: result)
    }

    /// The points that exist among the ids, in the order of the ids.
    package func retrieve(_ request: RetrieveRequest, deadline: Deadline) async throws(ShardError) -> [Record] {
        try await onSearchThread(deadline) {
            try PointReader(self.generation).retrieve(request)
        }
    }

    /// Points in ascending order of ids.
    package func scroll(_ request: ScrollRequest, deadline: Deadline) async throws(ShardError) -> [Record] {
        try await onSearchThread(deadline) {
            try PointReader(self.generation).scroll(request)
        }
    }

    /// The exact number of points.
    package func count() -> UInt64 { generation.view.pointCount }

    /// The exact number of points that pass.
    package func count(_ filter: Filter, deadline: Deadline) async throws(ShardError) -> UInt64 {
        try await onSearchThread(deadline) {
            try PointReader(self.generation).count(filter)
        }
    }

    /// Waits until the rows that are not in the graph are few enough.
    ///
    /// - Throws: `overloaded` when they were not until the deadline.
    package func waitForRoom(deadline: Deadline) async throws(ShardError) {
        let generation = generation
        try await generation.room.wait(until: deadline) { generation.unindexedRows }
    }

    private func answer(_ request: SearchRequest) throws -> SearchAnswer {
        try ShardSearch(generation, request).run()
    }

    func onSearchThread<Value: Sendable>(
        _ deadline: Deadline, _ body: @escaping @Sendable () throws -> Value
    ) async throws(ShardError) -> Value {
        try await resultOnSearchThread(deadline, body).get()
    }

    private func resultOnSearchThread<Value: Sendable>(
        _ deadline: Deadline, _ body: @escaping @Sendable () throws -> Value
    ) async -> Result<Value, ShardError> {
        // Tasks that prefer the search threads, as all that answer clients do, come here when it is their turn.
        guard !Task.isCancelled else { return .failure(.deadlineExceeded) }
        return await runtime.search.run {
            guard !deadline.isPast else { return .failure(.deadlineExceeded) }
            guard !self.isClosed.load(ordering: .acquiring) else {
                return .failure(.notServing(reason: "the shard is closed"))
            }
            let result = Result { () throws(ShardError) in try storing(body) }
            if case .failure(let error) = result { self.noteDamage(error) }
            return result
        }
    }
}

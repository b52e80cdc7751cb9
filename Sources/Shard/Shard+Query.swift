package import DataModel
internal import Synchronization

extension Shard {
    /// Answers each search, in order; results come best first.
    ///
    /// - Throws: `invalid` when a search contradicts the schema, `deadlineExceeded` when its turn came too late.
    package func search(_ searches: [SearchRequest], deadline: Deadline) async throws(ShardError) -> [[ScoredPoint]] {
        if searches.count == 1 { return [try await onSearchThread(deadline) { try self.answer(searches[0]) }] }
        // Each on its own, so that a batch uses all cores.
        let results = await withTaskGroup(of: (Int, Result<[ScoredPoint], ShardError>).self) { group in
            for (index, search) in searches.enumerated() {
                group.addTask { (index, await self.resultOnSearchThread(deadline) { try self.answer(search) }) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        var answers: [[ScoredPoint]] = []
        for index in searches.indices {
            guard let result = results[index] else { throw .storage(reason: "a search without an answer") }
            answers.append(try result.get())
        }
        return answers
    }

    /// The points that exist among the ids, in the order of the ids.
    package func retrieve(_ request: RetrieveRequest, deadline: Deadline) async throws(ShardError) -> [Record] {
        try await onSearchThread(deadline) {
            try PointReader(self).retrieve(request)
        }
    }

    /// Points in ascending order of ids.
    package func scroll(_ request: ScrollRequest, deadline: Deadline) async throws(ShardError) -> [Record] {
        try await onSearchThread(deadline) {
            try PointReader(self).scroll(request)
        }
    }

    /// The exact number of points.
    package func count() -> UInt64 { view.pointCount }

    /// Waits until the rows that are not in the graph are few enough.
    ///
    /// - Throws: `overloaded` when they were not until the deadline.
    package func waitForRoom(deadline: Deadline) async throws(ShardError) {
        try await room.wait(until: deadline) { self.unindexedRows }
    }

    private func answer(_ request: SearchRequest) throws -> [ScoredPoint] {
        try ShardSearch(self, request).run()
    }

    private func onSearchThread<Value: Sendable>(
        _ deadline: Deadline, _ body: @escaping @Sendable () throws -> Value
    ) async throws(ShardError) -> Value {
        try await resultOnSearchThread(deadline, body).get()
    }

    private func resultOnSearchThread<Value: Sendable>(
        _ deadline: Deadline, _ body: @escaping @Sendable () throws -> Value
    ) async -> Result<Value, ShardError> {
        await runtime.search.run {
            guard !deadline.isPast else { return .failure(.deadlineExceeded) }
            guard !self.isClosed.load(ordering: .acquiring) else {
                return .failure(.notServing(reason: "the shard is closed"))
            }
            return Result { () throws(ShardError) in try storing(body) }
        }
    }
}

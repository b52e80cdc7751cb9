internal import DataModel
internal import LMDB
internal import VectorIndex

/// One search over one vector space of a shard: the graph, and an exact scan of the rows that it does not hold yet.
struct ShardSearch {
    private let shard: ShardGeneration
    private let request: SearchRequest
    private let space: Int

    init(_ shard: ShardGeneration, _ request: SearchRequest) throws {
        guard let space = shard.schema.spaceIndex(named: request.space) else {
            throw ShardError.invalid(reason: "there is no vector space \"\(request.space)\"")
        }
        let dimension = shard.schema.spaces[space].dimension
        guard request.vector.count == dimension else {
            throw ShardError.invalid(
                reason: "the query has \(request.vector.count) components where the vector space has \(dimension)")
        }
        self.shard = shard
        self.request = request
        self.space = space
    }

    func run() throws -> SearchAnswer {
        // The view first: it keeps whatever pointer is read from the block tables after it.
        let view = shard.view
        guard request.limit > 0 else { return SearchAnswer(points: []) }
        if shard.graphs[space].count < view.slotCount { shard.noteScan() }
        return try withExtendedLifetime(view) {
            try shard.store.environment.read { transaction in
                var profile = SearchProfile()
                let effort = effort
                let neighbours = try withQuery { query in
                    guard let filter = request.filter else { return nearest(query, view, effort.ef, &profile) }
                    return try nearest(query, passing: filter, view, effort.ef, &profile, transaction)
                }
                profile.ef = effort.ef
                if request.recall != nil {
                    profile.expectedRecall = effort.expectedRecall
                    profile.sampledQueries = effort.sampledQueries
                }
                let points = try shard.store.prefetchingPayloads(of: neighbours) {
                    try answers(neighbours, view, transaction)
                }
                return SearchAnswer(points: points, profile: request.profile ? profile : nil)
            }
        }
    }

    /// Lends the query's vector as the index compares it.
    private func withQuery(_ body: (UnsafePointer<Float>) throws -> [Neighbour]) rethrows -> [Neighbour] {
        var query = request.vector
        return try query.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return [] }
            if schema.distance.normalisesVectors { _ = normalise(base, dimension: buffer.count) }
            return try body(base)
        }
    }

    private var schema: VectorSpace { shard.schema.spaces[space] }

    /// One more for each point that will be left out.
    private var candidates: Int { request.limit + request.excluded.count }

    private var effort: RecallTable.Effort {
        if let target = request.recall {
            let table = shard.recall[space]
            guard request.filter != nil else { return table.effort(for: target, limit: candidates) }
            // Learned from searches without a filter. What passes one may lie anywhere, so half of the misses are allowed,
            // and nothing is promised.
            var effort = table.effort(for: (1 + target) / 2, limit: candidates)
            effort.expectedRecall = nil
            return effort
        }
        return .init(ef: request.ef ?? SearchRequest.defaultEf, expectedRecall: nil, sampledQueries: 0)
    }

    private func nearest(
        _ query: UnsafePointer<Float>, passing filter: Filter, _ view: ReadView, _ ef: Int,
        _ profile: inout SearchProfile, _ transaction: borrowing ReadTransaction
    ) throws -> [Neighbour] {
        let planner = try FilterPlanner(shard, view, transaction)
        let ranked = RankedSearch(
            graph: shard.graphs[space], query: query, view: view, deleted: view.deleted[space],
            ef: ef, quantization: request.quantization, isExact: request.exact)
        var search = FilteredSearch(try planner.plan(filter, transaction), store: shard.store, search: ranked)
        defer { profile = search.profile }
        return try search.nearest(candidates, transaction)
    }

    private func nearest(
        _ query: UnsafePointer<Float>, _ view: ReadView, _ ef: Int, _ profile: inout SearchProfile
    ) -> [Neighbour] {
        let graph = shard.graphs[space]
        let deleted = view.deleted[space]
        return withExtendedLifetime(deleted) {
            let live = Int(view.slotCount) - deleted.count
            if request.exact || live <= schema.hnsw.exactScanRows {
                profile.strategy = .scan
                profile.comparisons = live
                return graph.scan(query: query, k: candidates, rows: 0..<view.slotCount, deleted: deleted.rows)
            }
            let indexed = min(graph.count, view.slotCount)
            shard.learn(from: query, space: space)
            let found = graph.search(
                query: query, k: candidates, ef: max(ef, candidates), quantization: request.quantization, visibleRows: indexed,
                deleted: deleted.rows)
            guard indexed < view.slotCount else { return found }
            let scanned = graph.scan(
                query: query, k: candidates, rows: indexed..<view.slotCount, deleted: deleted.rows)
            return Neighbour.merge(found, scanned, limit: candidates)
        }
    }

    /// Turns slots into points. Rows of replaced points stay in `payloads`, so a transaction that is younger than the view
    /// has all of them.
    private func answers(
        _ neighbours: [Neighbour], _ view: ReadView, _ transaction: borrowing ReadTransaction
    ) throws -> [ScoredPoint] {
        var answers: [ScoredPoint] = []
        answers.reserveCapacity(neighbours.count)
        for neighbour in neighbours where answers.count < request.limit {
            let score = schema.distance.score(fromIndexDistance: neighbour.distance)
            if let threshold = request.scoreThreshold, schema.distance.isNearer(threshold, than: score) { break }
            let row = try shard.store.payloadRow(at: neighbour.slot, slotCount: view.slotCount, transaction)
            if !request.excluded.isEmpty, request.excluded.contains(row.id) { continue }
            try shard.checkedBlocks[space].check(
                neighbour.slot, slotCount: view.slotCount, shard.store, transaction)
            let record = Record(
                id: row.id, version: row.version, payload: request.withPayload ? row.payload : nil,
                vectors: try shard.vectors(at: neighbour.slot, of: row.spaces, request.withVectors, view, transaction))
            answers.append(ScoredPoint(record: record, score: score))
        }
        return answers
    }
}

extension ShardGeneration {
    /// The vectors of a row that were asked for; nil when none were. The caller holds the view.
    func vectors(
        at slot: UInt32, of spaces: SpaceSet, _ selector: VectorSelector, _ view: ReadView,
        _ transaction: borrowing ReadTransaction
    ) throws -> NamedVectors? {
        let names: [String]?
        switch selector {
        case .none: return nil
        case .all: names = nil
        case .named(let selected): names = selected
        }
        var result = NamedVectors()
        for rows in vectors where spaces.contains(rows.space) {
            let name = schema.spaces[rows.space].name
            if let names, !names.contains(name) { continue }
            try checkedBlocks[rows.space].check(slot, slotCount: view.slotCount, store, transaction)
            result[name] = rows.values(at: slot)
        }
        return result
    }
}

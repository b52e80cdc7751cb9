import Cluster
package import DataModel

extension Coordinator {
    package func query(
        _ queries: [Query], in collection: String, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<[QueryAnswer]> {
        metrics.countQueries(queries.count)
        return try await metrics.timing(metrics.queryTime) { () throws(DatabaseError) in
            try await withTaskExecutorPreference(queryExecutor) { () throws(DatabaseError) in
                try await routed(collection, options, deadline: deadline) { (table) throws(DatabaseError) in
                    try await self.search(queries, in: table, options: options, deadline: deadline)
                }
            }
        }
    }

    private func search(
        _ queries: [Query], in table: RoutingTable, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> Reading<[QueryAnswer]> {
        guard !queries.isEmpty else { return Reading([]) }
        let check = SchemaCheck(config: table.collection.value.config)
        var spaces: [VectorSpace] = []
        for (index, query) in queries.enumerated() {
            try check.check(query.withVectors)
            spaces.append(try check.space(of: query, at: index, of: queries.count))
        }
        let vectors = try await vectors(of: queries, table: table, options: options, deadline: deadline)
        let shards = table.shards.map(\.value.id)
        let requests = zip(queries, vectors).map { $0.request(vector: $1, shards: shards.count) }
        let distances = spaces.map(\.distance)
        let read = ShardRead<[SearchAnswer]>(
            collection: table.collection.value, kind: ReadKind(queries), options: options, deadline: deadline,
            expectedBytes: shards.count.saturatingProduct(
                requests.reduce(0) { $0 + $1.expectedFootprint(in: table.collection.value.config) }),
            footprint: { $0.reduce(0) { $0 + $1.points.footprint } },
            merge: { AnswerMerge.nearest($0, limits: requests.map(\.limit), distances: distances) }
        ) { (service, _, context) throws(ShardError) in
            let lists = try await service.search(requests, context: context)
            guard lists.count == requests.count else {
                throw .storage(reason: "\(lists.count) answers to \(requests.count) searches")
            }
            return lists
        }
        let answers = try await readAll(shards, read)
        let results = queries.indices.map { index in
            let points = Merge.nearest(
                answers.compactMap { $0?[index].points }, distance: distances[index], offset: queries[index].offset,
                limit: queries[index].limit)
            let profiles = zip(shards, answers).compactMap { shard, answers in
                (answers?[index].profile).map { QueryAnswer.ShardProfile(shard: shard.number, profile: $0) }
            }
            return QueryAnswer(points: points, profiles: profiles)
        }
        return reading(results, from: shards, answers, options)
    }

    /// The vector of each query; those of points are read first, and none of them may be missing.
    ///
    /// - Throws: `pointNotFound`; `invalid` when the point has no vector in the query's space.
    private func vectors(
        of queries: [Query], table: RoutingTable, options: ReadOptions, deadline: Deadline
    ) async throws(DatabaseError) -> [[Float]] {
        var idsBySpace: [String: [PointID]] = [:]
        for query in queries {
            if case .point(let id) = query.target { idsBySpace[query.space, default: []].append(id) }
        }
        var found: [String: [PointID: NamedVectors]] = [:]
        for (space, ids) in idsBySpace {
            let request = RetrieveRequest(ids: ids, withPayload: false, withVectors: .named([space]))
            let whole = ReadOptions(consistency: options.consistency)
            for record in try await retrieve(request, table: table, options: whole, deadline: deadline).value {
                found[space, default: [:]][record.id] = record.vectors ?? NamedVectors()
            }
        }
        var vectors: [[Float]] = []
        for query in queries {
            switch query.target {
            case .vector(let values): vectors.append(values)
            case .point(let id):
                guard let point = found[query.space]?[id] else { throw .pointNotFound(id) }
                guard let values = point[query.space] else {
                    throw .invalid(reason: "point \(id) has no vector '\(query.space)'")
                }
                vectors.append(values)
            }
        }
        return vectors
    }
}

extension SearchRequest {
    /// The bytes that one shard's answer will take about.
    fileprivate func expectedFootprint(in config: CollectionConfig) -> Int {
        limit * config.expectedFootprint(withPayload: withPayload, withVectors: withVectors)
    }
}

extension ReadKind {
    fileprivate init(_ queries: [Query]) {
        // What scans or filters takes many times as long as a walk through the graph.
        let isPlain = queries.allSatisfy { $0.filter == nil && !$0.exact }
        self.init(isPlain ? .search : .filteredSearch, units: queries.count)
    }
}

extension Query {
    /// What one of so many shards is asked.
    fileprivate func request(vector: [Float], shards: Int) -> SearchRequest {
        let window = offset + limit
        return SearchRequest(
            space: space, vector: vector, limit: window, scoreThreshold: scoreThreshold,
            ef: recall == nil ? EffortSplit.perShard(ef: ef, window: window, shards: shards) : nil, recall: recall,
            exact: exact, quantization: quantization, filter: filter, excluded: excludedIDs, withPayload: withPayload,
            withVectors: withVectors, profile: profile)
    }

    fileprivate var excludedIDs: [PointID] {
        switch target {
        case .vector: []
        case .point(let id): [id]
        }
    }
}

extension Int {
    /// `Int.max` when that is too small for the product.
    fileprivate func saturatingProduct(_ other: Int) -> Int {
        let (product, isTooLarge) = multipliedReportingOverflow(by: other)
        return isTooLarge ? .max : product
    }
}

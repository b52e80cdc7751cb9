import Cluster
package import DataModel

extension Coordinator {
    package func query(
        _ queries: [Query], in collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> [QueryAnswer] {
        metrics.countQueries(queries.count)
        return try await metrics.timing(metrics.queryTime) { () throws(DatabaseError) in
            try await withTaskExecutorPreference(queryExecutor) { () throws(DatabaseError) in
                try await search(queries, in: collection, deadline: deadline)
            }
        }
    }

    private func search(
        _ queries: [Query], in collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> [QueryAnswer] {
        guard !queries.isEmpty else { return [] }
        let table = try await routing(of: collection)
        let check = SchemaCheck(config: table.collection.value.config)
        var spaces: [VectorSpace] = []
        for (index, query) in queries.enumerated() {
            try check.check(query.withVectors)
            spaces.append(try check.space(of: query, at: index, of: queries.count))
        }
        let vectors = try await vectors(of: queries, table: table, deadline: deadline)
        let shards = table.shards.count
        let requests = zip(queries, vectors).map { query, vector in
            let window = query.offset + query.limit
            return SearchRequest(
                space: query.space, vector: vector, limit: window, scoreThreshold: query.scoreThreshold,
                ef: query.recall == nil ? EffortSplit.perShard(ef: query.ef, window: window, shards: shards) : nil,
                recall: query.recall, exact: query.exact, quantization: query.quantization, filter: query.filter,
                excluded: query.excludedIDs, withPayload: query.withPayload, withVectors: query.withVectors,
                profile: query.profile)
        }
        let answers = try await readAll(table, units: requests.count, deadline: deadline) {
            (service, context) throws(ShardError) in
            let lists = try await service.search(requests, context: context)
            guard lists.count == requests.count else {
                throw .storage(reason: "\(lists.count) answers to \(requests.count) searches")
            }
            return lists
        }
        return queries.indices.map { index in
            let points = Merge.nearest(
                answers.map { $0[index].points }, distance: spaces[index].distance, offset: queries[index].offset,
                limit: queries[index].limit)
            let profiles = zip(table.shards, answers).compactMap { shard, answers in
                answers[index].profile.map { QueryAnswer.ShardProfile(shard: shard.value.id.number, profile: $0) }
            }
            return QueryAnswer(points: points, profiles: profiles)
        }
    }

    /// The vector of each query; those of points are read first.
    ///
    /// - Throws: `pointNotFound`; `invalid` when the point has no vector in the query's space.
    private func vectors(
        of queries: [Query], table: RoutingTable, deadline: Deadline
    ) async throws(DatabaseError) -> [[Float]] {
        var idsBySpace: [String: [PointID]] = [:]
        for query in queries {
            if case .point(let id) = query.target { idsBySpace[query.space, default: []].append(id) }
        }
        var found: [String: [PointID: NamedVectors]] = [:]
        for (space, ids) in idsBySpace {
            let request = RetrieveRequest(ids: ids, withPayload: false, withVectors: .named([space]))
            for record in try await retrieve(request, table: table, deadline: deadline) {
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

extension Query {
    fileprivate var excludedIDs: [PointID] {
        switch target {
        case .vector: []
        case .point(let id): [id]
        }
    }
}

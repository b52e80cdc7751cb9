import Coordinator
import DataModel
import Hummingbird

/// Searches, in the dialect's present and older form.
struct QueryRoutes: Sendable {
    let api: API

    func add(to table: RouteTable) {
        table.add("/collections/{collection}/points/query", [.post: query])
        table.add("/collections/{collection}/points/query/batch", [.post: queryBatch])
        table.add("/collections/{collection}/points/search", [.post: search])
        table.add("/collections/{collection}/points/search/batch", [.post: searchBatch])
    }

    @Sendable private func query(_ request: Request, _ context: APIContext) async throws -> Response {
        let (commands, reading) = try await answer(request, context) { (root) throws(DialectError) in
            [try root.queryCommand()]
        }
        let results = reading.value
        return Envelope.ok(context, reading, extras: { $0.profile(of: results[0]) }) {
            $0.queryResult(results[0].points, commands[0], api.parsers)
        }
    }

    @Sendable private func queryBatch(_ request: Request, _ context: APIContext) async throws -> Response {
        let (commands, reading) = try await answer(request, context) { (root) throws(DialectError) in
            try root.searches { (element) throws(DialectError) in try element.queryCommand() }
        }
        let results = reading.value
        return Envelope.ok(context, reading, extras: { $0.profiles(of: results) }) { writer in
            writer.array(zip(results, commands)) { $0.queryResult($1.0.points, $1.1, api.parsers) }
        }
    }

    @Sendable private func search(_ request: Request, _ context: APIContext) async throws -> Response {
        let (commands, reading) = try await answer(request, context) { (root) throws(DialectError) in
            [try root.olderSearchCommand()]
        }
        let results = reading.value
        return Envelope.ok(context, reading, extras: { $0.profile(of: results[0]) }) {
            $0.scoredPoints(results[0].points, commands[0].payload, parsers: api.parsers)
        }
    }

    @Sendable private func searchBatch(_ request: Request, _ context: APIContext) async throws -> Response {
        let (commands, reading) = try await answer(request, context) { (root) throws(DialectError) in
            try root.searches { (element) throws(DialectError) in try element.olderSearchCommand() }
        }
        let results = reading.value
        return Envelope.ok(context, reading, extras: { $0.profiles(of: results) }) { writer in
            writer.array(zip(results, commands)) { $0.scoredPoints($1.0.points, $1.1.payload, parsers: api.parsers) }
        }
    }

    /// Reads the commands and answers them in order: all searches in one call, then listings.
    private func answer(
        _ request: Request, _ context: APIContext,
        _ read: @escaping @Sendable (JSONElement) throws(DialectError) -> [QueryCommand]
    ) async throws -> (commands: [QueryCommand], reading: Reading<[QueryAnswer]>) {
        let collection = try api.collectionName(context)
        let (options, deadline) = (try ReadOptions(of: request), try api.deadline(request))
        let commands = try await api.bodies.json(of: request, read)
        let queries = commands.compactMap { if case .search(let query) = $0.kind { query } else { nil } }
        var reading = Reading<[QueryAnswer]>([])
        if !queries.isEmpty {
            reading = try await api.database.query(queries, in: collection, options: options, deadline: deadline)
        }
        var answers = reading.value[...]
        guard answers.count == queries.count else {
            throw DatabaseError.internalFailure(reason: "\(answers.count) answers to \(queries.count) queries")
        }
        var results: [QueryAnswer] = []
        results.reserveCapacity(commands.count)
        for command in commands {
            switch command.kind {
            case .search: results.append(answers.removeFirst())
            case .listing(let request, let offset):
                let page = try await api.database.scroll(
                    request, through: collection, replica: nil, options: options, deadline: deadline)
                reading.isStale = reading.isStale || page.isStale
                reading.missingShards = Set(reading.missingShards + page.missingShards).sorted()
                let points = page.value.records.dropFirst(offset).map { ScoredPoint(record: $0, score: 0) }
                results.append(QueryAnswer(points: points))
            }
        }
        reading.value = results
        return (commands, reading)
    }
}

extension JSONWriter {
    fileprivate mutating func queryResult(_ points: [ScoredPoint], _ command: QueryCommand, _ parsers: JSONParserPool) {
        raw("{\"points\":")
        scoredPoints(points, command.payload, parsers: parsers)
        raw("}")
    }
}

import Coordinator
import DataModel
import Hummingbird

/// Points by their ids: writes, retrieval, scrolling, counting.
struct PointRoutes: Sendable {
    let api: API

    func add(to table: RouteTable) {
        table.add("/collections/{collection}/points", [.put: upsert, .post: retrieve])
        table.add("/collections/{collection}/points/{id}", [.get: get])
        table.add("/collections/{collection}/points/delete", [.post: delete])
        table.add("/collections/{collection}/points/batch", [.post: update])
        table.add("/collections/{collection}/points/scroll", [.post: scroll])
        table.add("/collections/{collection}/points/count", [.post: count])
    }

    // MARK: Writes

    @Sendable private func upsert(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let points = try await api.bodies.json(of: request) { (root) throws(DialectError) in try root.upsertedPoints() }
        let sequence = try await apply(.upsert(points), to: collection, request)
        return Envelope.ok(context) { $0.updateResult(sequence, request) }
    }

    @Sendable private func delete(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let deletion = try await api.bodies.json(of: request) { (root) throws(DialectError) in try root.deletion() }
        let sequence = try await apply(deletion, to: collection, request)
        return Envelope.ok(context) { $0.updateResult(sequence, request) }
    }

    /// Applies the operations one after the other; the first that fails ends the batch.
    @Sendable private func update(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let updates = try await api.bodies.json(of: request) { (root) throws(DialectError) in try root.pointUpdates() }
        var sequences: [SequenceNumber] = []
        for update in updates { sequences.append(try await apply(update, to: collection, request)) }
        let results = sequences
        return Envelope.ok(context) { $0.array(results) { $0.updateResult($1, request) } }
    }

    private func apply(
        _ update: PointUpdate, to collection: String, _ request: Request
    ) async throws -> SequenceNumber {
        let deadline = try api.deadline(request, standard: API.writeTimeout)
        switch update {
        case .upsert(let points) where !points.isEmpty:
            return try await api.database.upsert(points, into: collection, deadline: deadline)
        case .delete(let ids) where !ids.isEmpty:
            return try await api.database.delete(ids, from: collection, deadline: deadline)
        case .deleteMatching(let filter):
            return try await api.database.delete(matching: filter, from: collection, deadline: deadline)
        case .upsert, .delete:
            throw DialectError("points", "the array is empty")
        }
    }

    // MARK: Reads

    @Sendable private func retrieve(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let command = try await api.bodies.json(of: request) { (root) throws(DialectError) in
            try root.retrieveCommand()
        }
        let records = try await api.database.retrieve(
            command.request, from: collection, deadline: try api.deadline(request))
        return Envelope.ok(context) { writer in
            writer.array(records) { $0.record($1, command.payload, parsers: api.parsers) }
        }
    }

    @Sendable private func get(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let id = try PointID(pathComponent: try api.pathParameter("id", context))
        let records = try await api.database.retrieve(
            RetrieveRequest(ids: [id], withPayload: true, withVectors: .all), from: collection,
            deadline: try api.deadline(request))
        guard let record = records.first else { throw APIError(pointNotFound: id) }
        return Envelope.ok(context) { $0.record(record, .all, parsers: api.parsers) }
    }

    @Sendable private func scroll(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let command = try await api.bodies.json(of: request) { (root) throws(DialectError) in try root.scrollCommand() }
        let page = try await api.database.scroll(
            command.request, through: collection, replica: try api.replica(request), deadline: try api.deadline(request)
        )
        return Envelope.ok(context) { writer in
            writer.raw("{\"points\":")
            writer.array(page.records) { $0.record($1, command.payload, parsers: api.parsers) }
            writer.raw(",\"next_page_offset\":")
            if let next = page.next { writer.pointID(next) } else { writer.raw("null") }
            writer.raw("}")
        }
    }

    @Sendable private func count(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let filter = try await api.bodies.json(of: request) { (root) throws(DialectError) in try root.countFilter() }
        let count = try await api.database.count(filter, in: collection, deadline: try api.deadline(request))
        return Envelope.ok(context) { writer in
            writer.raw("{\"count\":")
            writer.integer(count)
            writer.raw("}")
        }
    }
}

extension JSONWriter {
    /// What a write answers. It is durable in either case; the dialect says `completed` to those who asked to wait.
    mutating func updateResult(_ sequence: SequenceNumber, _ request: Request) {
        updateResult(sequence, isCompleted: request.uri.queryParameters["wait"] == "true")
    }

    mutating func updateResult(_ sequence: SequenceNumber, isCompleted: Bool) {
        raw("{\"operation_id\":")
        integer(sequence.rawValue)
        raw(",\"status\":")
        raw(isCompleted ? "\"completed\"" : "\"acknowledged\"")
        raw("}")
    }
}

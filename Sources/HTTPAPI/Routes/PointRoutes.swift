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
        try await write(request, context) { (root, version) throws(DialectError) in try root.upsert(common: version) }
    }

    @Sendable private func delete(_ request: Request, _ context: APIContext) async throws -> Response {
        try await write(request, context) { (root, version) throws(DialectError) in try root.deletion(common: version) }
    }

    private func write(
        _ request: Request, _ context: APIContext,
        _ read: @escaping @Sendable (JSONElement, SequenceNumber?) throws(DialectError) -> PointWrite
    ) async throws -> Response {
        let collection = try api.collectionName(context)
        let version = try api.expectedVersion(request)
        let write = try await api.bodies.json(of: request) { (root) throws(DialectError) in try read(root, version) }
        let id = try api.requestID(request, inBody: write.requestID)
        let named = id.map { write.request.named(RequestName($0)) } ?? write.request
        let sequence = try await api.database.write(
            named, to: collection, deadline: try api.deadline(request, standard: API.writeTimeout))
        return Envelope.ok(context) { $0.updateResult(sequence, request) }
    }

    /// Applies the operations one after the other; the first that fails ends the batch. Each has a name of its own, so
    /// that a batch that is sent again goes on where it ended.
    @Sendable private func update(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        guard try api.expectedVersion(request) == nil else {
            throw DialectError("if_version", "it belongs into the operations")
        }
        let (writes, idInBody) = try await api.bodies.json(of: request) { (root) throws(DialectError) in
            try root.pointWrites()
        }
        let id = try api.requestID(request, inBody: idInBody)
        var sequences: [SequenceNumber] = []
        for (index, write) in writes.enumerated() {
            let named = id.map { write.named(RequestName($0, operation: index + 1)) } ?? write
            let deadline = try api.deadline(request, standard: API.writeTimeout)
            sequences.append(try await api.database.write(named, to: collection, deadline: deadline))
        }
        let results = sequences
        return Envelope.ok(context) { $0.array(results) { $0.updateResult($1, request) } }
    }

    // MARK: Reads

    @Sendable private func retrieve(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let command = try await api.bodies.json(of: request) { (root) throws(DialectError) in
            try root.retrieveCommand()
        }
        let records = try await api.database.retrieve(
            command.request, from: collection, options: try ReadOptions(of: request, settled: command.request.isSettled),
            deadline: try api.deadline(request))
        return Envelope.ok(context, records) { writer in
            writer.array(records.value) {
                $0.record($1, command.payload, version: command.request.isSettled, parsers: api.parsers)
            }
        }
    }

    @Sendable private func get(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let id = try PointID(pathComponent: try api.pathParameter("id", context))
        let withVersion = try api.flag("with_version", request)
        let records = try await api.database.retrieve(
            RetrieveRequest(ids: [id], withPayload: true, withVectors: .all, isSettled: withVersion), from: collection,
            options: try ReadOptions(of: request, settled: withVersion, mayBePartial: false),
            deadline: try api.deadline(request))
        guard let record = records.value.first else { throw APIError(pointNotFound: id) }
        return Envelope.ok(context, records) { $0.record(record, .all, version: withVersion, parsers: api.parsers) }
    }

    @Sendable private func scroll(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let command = try await api.bodies.json(of: request) { (root) throws(DialectError) in try root.scrollCommand() }
        let (options, replica) = (try ReadOptions(of: request, settled: command.request.isSettled), try api.replica(request))
        guard replica == nil || options.consistency == .one else {
            throw DialectError("consistency", "one replica alone is read with `replica`; leave out one of the two")
        }
        let reading = try await api.database.scroll(
            command.request, through: collection, replica: replica, options: options,
            deadline: try api.deadline(request))
        let page = reading.value
        return Envelope.ok(context, reading) { writer in
            writer.raw("{\"points\":")
            writer.array(page.records) {
                $0.record($1, command.payload, version: command.request.isSettled, parsers: api.parsers)
            }
            writer.raw(",\"next_page_offset\":")
            if let next = page.next { writer.pointID(next) } else { writer.raw("null") }
            writer.raw("}")
        }
    }

    @Sendable private func count(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let filter = try await api.bodies.json(of: request) { (root) throws(DialectError) in try root.countFilter() }
        let count = try await api.database.count(
            filter, in: collection, options: try ReadOptions(of: request), deadline: try api.deadline(request))
        return Envelope.ok(context, count) { writer in
            writer.raw("{\"count\":")
            writer.integer(count.value)
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

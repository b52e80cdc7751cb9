import Coordinator
import DataModel
import Hummingbird

/// `/collections` and `/collections/{collection}`.
struct CollectionRoutes: Sendable {
    let api: API

    func add(to table: RouteTable) {
        table.add("/collections", [.get: list])
        table.add("/collections/{collection}", [.get: get, .put: create, .patch: update, .delete: delete])
        table.add("/collections/{collection}/exists", [.get: exists])
        table.add("/aliases", [.get: aliases])
        table.add("/collections/{collection}/aliases", [.get: aliases])
    }

    @Sendable private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let names = try await api.database.collectionNames()
        return Envelope.ok(context) { writer in
            writer.raw("{\"collections\":")
            writer.array(names) { writer, name in
                writer.raw("{\"name\":")
                writer.string(name)
                writer.raw("}")
            }
            writer.raw("}")
        }
    }

    @Sendable private func get(_ request: Request, _ context: APIContext) async throws -> Response {
        let info = try await api.database.collection(
            try api.collectionName(context), deadline: try api.deadline(request))
        return Envelope.ok(context) { $0.collectionInfo(info) }
    }

    @Sendable private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let name = try api.collectionName(context)
        let defaults = api.defaults
        let config = try await api.bodies.json(of: request) { (root) throws(DialectError) in
            try root.collectionConfig(defaults: defaults)
        }
        try await api.database.createCollection(
            name, config: config, deadline: try api.deadline(request, standard: API.writeTimeout))
        return Envelope.ok(context) { $0.bool(true) }
    }

    @Sendable private func update(_ request: Request, _ context: APIContext) async throws -> Response {
        let name = try api.collectionName(context)
        try await api.bodies.json(of: request) { (root) throws(DialectError) in try root.checkCollectionUpdate() }
        guard try await api.database.collectionExists(name) else { throw DatabaseError.collectionNotFound(name) }
        return Envelope.ok(context) { $0.bool(true) }
    }

    @Sendable private func delete(_ request: Request, _ context: APIContext) async throws -> Response {
        let existed = try await api.database.deleteCollection(
            try api.collectionName(context), deadline: try api.deadline(request, standard: API.writeTimeout))
        return Envelope.ok(context) { $0.bool(existed) }
    }

    @Sendable private func exists(_ request: Request, _ context: APIContext) async throws -> Response {
        let exists = try await api.database.collectionExists(try api.collectionName(context))
        return Envelope.ok(context) { writer in
            writer.raw("{\"exists\":")
            writer.bool(exists)
            writer.raw("}")
        }
    }

    /// Clients list aliases before they choose a collection; there are none.
    @Sendable private func aliases(_ request: Request, _ context: APIContext) async throws -> Response {
        Envelope.ok(context) { $0.raw("{\"aliases\":[]}") }
    }
}

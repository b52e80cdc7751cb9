import Coordinator
import DataModel
import Hummingbird

/// Payload indexes. Creating one again with the same schema changes nothing.
struct PayloadIndexRoutes: Sendable {
    let api: API

    func add(to table: RouteTable) {
        table.add("/collections/{collection}/index", [.put: create])
        table.add("/collections/{collection}/index/{field}", [.delete: delete])
    }

    @Sendable private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let index = try await api.bodies.json(of: request) { (root) throws(DialectError) in try root.payloadIndex() }
        let deadline = try api.deadline(request, standard: API.writeTimeout)
        try await api.database.createPayloadIndex(index, on: collection, deadline: deadline)
        // One that takes longer is created all the same: acknowledged, and not completed.
        let isBuilt = api.waits(request)
            ? try await api.database.waitForPayloadIndex(index, on: collection, deadline: deadline) : false
        return Envelope.ok(context) { $0.updateResult(.zero, isCompleted: isBuilt) }
    }

    @Sendable private func delete(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let path = PayloadPath(try api.pathParameter("field", context))
        try await api.database.deletePayloadIndex(
            at: path, of: collection, deadline: try api.deadline(request, standard: API.writeTimeout))
        return Envelope.ok(context) { $0.updateResult(.zero, request) }
    }
}

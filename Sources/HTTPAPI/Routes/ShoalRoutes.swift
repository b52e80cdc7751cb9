import Coordinator
import DataModel
import Hummingbird

/// What only Shoal has: `/shoal/...`, which the admin CLI speaks. Results are the Codable forms of the reports.
struct ShoalRoutes: Sendable {
    let api: API

    func add(to table: RouteTable) {
        table.add("/shoal/cluster", [.get: cluster])
        table.add("/shoal/shards", [.get: shards])
        table.add("/shoal/compact", [.post: maintain(.compact)])
        table.add("/shoal/verify", [.post: maintain(.verify)])
        table.add("/shoal/repair", [.post: maintain(.repair)])
    }

    @Sendable private func cluster(_ request: Request, _ context: APIContext) async throws -> Response {
        try Envelope.ok(
            context, encoding: try await api.database.clusterStatus(deadline: try api.deadline(request)))
    }

    @Sendable private func shards(_ request: Request, _ context: APIContext) async throws -> Response {
        let name = request.uri.queryParameters["collection"].map(String.init)
        let tables = try await api.database.shardTables(
            collection: try name.map { try CollectionName.checked($0) }, deadline: try api.deadline(request))
        return try Envelope.ok(context, encoding: tables)
    }

    /// A verification reads all that there is: it gets the longest time that a request may ask for.
    private static let verifyTimeout = Duration.seconds(API.timeoutSeconds.upperBound)

    private func maintain(_ task: MaintenanceTask) -> RouteTable.Handler {
        { request, context in
            let wanted = try await api.bodies.json(of: request) { (root) throws(DialectError) in
                try root.maintenanceRequest(task)
            }
            let deadline = try api.deadline(
                request, standard: task == .verify ? Self.verifyTimeout : API.writeTimeout)
            return try Envelope.ok(context, encoding: try await api.database.maintain(wanted, deadline: deadline))
        }
    }
}

extension JSONElement {
    /// `{"collection", "shard", "node"}`, each optional where it is no repair.
    fileprivate func maintenanceRequest(_ task: MaintenanceTask) throws(DialectError) -> MaintenanceRequest {
        try requireObject()
        let collection = try string("collection")
        let request = MaintenanceRequest(
            task: task, collection: try collection.map { (name) throws(DialectError) in try CollectionName.checked(name) },
            shard: try integer("shard", in: 0...Int(UInt32.max)).map { ShardNumber(UInt32($0)) },
            node: try integer("node", in: 0...Int(UInt32.max)).map { NodeID(UInt32($0)) })
        // A replica is only thrown away when it is named.
        if task == .repair {
            if request.collection == nil { throw DialectError("collection", "the field is missing") }
            if request.shard == nil { throw DialectError("shard", "the field is missing") }
            if request.node == nil { throw DialectError("node", "the field is missing") }
        }
        return request
    }
}

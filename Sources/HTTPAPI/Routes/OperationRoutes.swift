import Coordinator
import DataModel
import Hummingbird

/// Operations on the cluster's replicas: `/shoal/operations`, `/shoal/move`, `/shoal/draining`.
struct OperationRoutes: Sendable {
    let api: API

    func add(to table: RouteTable) {
        table.add("/shoal/operations", [.get: list, .post: begin])
        table.add("/shoal/operations/{operation}", [.delete: cancel])
        table.add("/shoal/draining/{node}", [.delete: undrain])
        table.add("/shoal/move", [.post: move])
    }

    @Sendable private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        try Envelope.ok(context, encoding: try await api.database.operations())
    }

    /// Begins the operation that the body names; with `"dryRun": true` answers with its plan alone.
    @Sendable private func begin(_ request: Request, _ context: APIContext) async throws -> Response {
        let wanted = try await api.bodies.json(of: request) { (root) throws(DialectError) in
            try root.wantedOperation()
        }
        let deadline = try api.deadline(request, standard: API.writeTimeout)
        if wanted.isDryRun {
            return try Envelope.ok(
                context, encoding: try await api.database.plan(wanted.operation, deadline: deadline))
        }
        let status = try await api.database.begin(
            wanted.operation, maxBytesPerSecond: wanted.maxBytesPerSecond, deadline: deadline)
        return try Envelope.ok(context, encoding: status)
    }

    @Sendable private func cancel(_ request: Request, _ context: APIContext) async throws -> Response {
        let id = try api.pathParameter("operation", context)
        return try Envelope.ok(context, encoding: try await api.database.cancelOperation(id))
    }

    @Sendable private func undrain(_ request: Request, _ context: APIContext) async throws -> Response {
        try await api.database.undrain(try api.nodeID("node", context))
        return Envelope.ok(context) { $0.bool(true) }
    }

    @Sendable private func move(_ request: Request, _ context: APIContext) async throws -> Response {
        let wanted = try await api.bodies.json(of: request) { (root) throws(DialectError) in
            try root.requireObject()
            return try root.wanted("move")
        }
        let status = try await api.database.begin(
            wanted.operation, maxBytesPerSecond: wanted.maxBytesPerSecond,
            deadline: try api.deadline(request, standard: API.writeTimeout))
        return try Envelope.ok(context, encoding: status)
    }
}

/// What the body of `POST /shoal/operations` asks for.
private struct WantedOperation: Sendable {
    var operation: OperationRequest
    var maxBytesPerSecond: UInt64?
    var isDryRun: Bool
}

extension JSONElement {
    /// A transfer sends pieces of 1 KiB or more, so that it takes no longer than it must.
    private static var throttles: ClosedRange<Int> { 1_024...Int.max }

    /// `{"kind": "move", ...}` with the fields of the kind.
    fileprivate func wantedOperation() throws(DialectError) -> WantedOperation {
        try requireObject()
        guard let kind = try string("kind") else { throw DialectError("kind", "the field is missing") }
        return try wanted(kind)
    }

    fileprivate func wanted(_ kind: String) throws(DialectError) -> WantedOperation {
        WantedOperation(
            operation: try operation(kind),
            maxBytesPerSecond: try integer("maxBytesPerSecond", in: Self.throttles).map { UInt64($0) },
            isDryRun: try bool("dryRun") ?? false)
    }

    private func operation(_ kind: String) throws(DialectError) -> OperationRequest {
        switch kind {
        case "move":
            return .move(
                collection: try collectionField(), shard: ShardNumber(try identifier("shard")),
                from: NodeID(try identifier("from")), to: NodeID(try identifier("to")))
        case "replicate":
            return .replicate(
                collection: try collectionField(), shard: ShardNumber(try identifier("shard")),
                to: NodeID(try identifier("to")))
        case "drop-replica":
            return .dropReplica(
                collection: try collectionField(), shard: ShardNumber(try identifier("shard")),
                from: NodeID(try identifier("from")))
        case "set-replication-factor":
            let collection = try collectionField()
            guard let factor = try integer("factor", in: Limits.replicationFactor) else {
                throw DialectError("factor", "the field is missing")
            }
            return .setReplicationFactor(collection: collection, factor: factor)
        case "drain": return .drain(NodeID(try identifier("node")))
        case "remove": return .remove(NodeID(try identifier("node")))
        case "rebalance":
            guard let by = try string("by") else { return .rebalance(by: nil) }
            guard let measure = BalanceMeasure(rawValue: by) else {
                let known = BalanceMeasure.allCases.map(\.rawValue).joined(separator: ", ")
                throw DialectError("by", "\(quoted(by)) is not one of \(known)")
            }
            return .rebalance(by: measure)
        default:
            throw DialectError(
                "kind",
                "\(quoted(kind)) is not one of move, replicate, drop-replica, set-replication-factor, drain, remove, "
                    + "rebalance")
        }
    }

    private func collectionField() throws(DialectError) -> String {
        guard let collection = try string("collection") else {
            throw DialectError("collection", "the field is missing")
        }
        return collection
    }
}

extension API {
    /// The node that the path names.
    func nodeID(_ name: String, _ context: APIContext) throws -> NodeID {
        let text = try pathParameter(name, context)
        guard let id = UInt32(text) else { throw DialectError(name, "\(quoted(text)) is not a node's id") }
        return NodeID(id)
    }
}

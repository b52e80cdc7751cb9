import Coordinator
import DataModel
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// What the routes share.
struct API: Sendable {
    let database: any Database
    let snapshots: any SnapshotDatabase
    let defaults: CollectionDefaults
    let bodies: RequestBodies
    let metricsText: @Sendable () -> String
    /// Longest wait for the answer to a read that names none.
    let readTimeout: Duration

    var parsers: JSONParserPool { bodies.parsers }

    /// The same for a write.
    static let writeTimeout = Duration.seconds(60)
    /// Seconds that `timeout` may ask for.
    static let timeoutSeconds = 1...3_600

    /// The moment until which the request may take: `?timeout=` seconds, or `standard` from now, or `readTimeout`.
    func deadline(_ request: Request, standard: Duration? = nil) throws -> Deadline {
        guard let text = request.uri.queryParameters["timeout"], !text.isEmpty else {
            return .after(standard ?? readTimeout)
        }
        guard let seconds = Int(text), Self.timeoutSeconds.contains(seconds) else {
            let range = Self.timeoutSeconds
            throw DialectError(
                "timeout", "\(quoted(text)) is not a number of seconds in \(range.lowerBound)...\(range.upperBound)")
        }
        return .after(.seconds(seconds))
    }

    /// `?wait=true`: whether the answer comes when the work is done.
    func waits(_ request: Request) -> Bool { request.uri.queryParameters["wait"] == "true" }

    /// A query parameter that is `true` or `false`, or left out.
    func flag(_ name: String, _ request: Request) throws -> Bool {
        switch request.uri.queryParameters[name[...]] {
        case nil, "false": false
        case "true": true
        case let other?: throw DialectError(name, "true or false is expected, not \(quoted(other))")
        }
    }

    /// `?replica=`: the node whose replicas alone a scroll reads.
    func replica(_ request: Request) throws -> NodeID? {
        guard let text = request.uri.queryParameters["replica"], !text.isEmpty else { return nil }
        guard let id = UInt32(text) else { throw DialectError("replica", "\(quoted(text)) is not a node's id") }
        return NodeID(id)
    }

    /// The collection that the path names, decoded and checked.
    func collectionName(_ context: APIContext) throws -> String {
        try CollectionName.checked(try pathParameter("collection", context))
    }

    func pathParameter(_ name: String, _ context: APIContext) throws -> String {
        let raw = try context.parameters.require(name)
        guard let decoded = raw.removingPercentEncoding else {
            throw DialectError(name, "\(quoted(raw)) is not percent-encoded UTF-8")
        }
        return decoded
    }
}

/// Adds routes by path, each with all its methods: a path that exists answers other methods with 405.
struct RouteTable {
    typealias Handler = @Sendable (Request, APIContext) async throws -> Response

    let router: Router<APIContext>

    private static let methods: [HTTPRequest.Method] = [.get, .head, .put, .post, .patch, .delete, .options]

    func add(_ path: RouterPath, _ handlers: [HTTPRequest.Method: Handler]) {
        let allowed = handlers.keys.map(\.rawValue).sorted().joined(separator: ", ")
        for method in Self.methods {
            // The router makes HEAD out of GET.
            if method == .head, handlers[.get] != nil { continue }
            let handler = handlers[method] ?? Self.refusal(allowed: allowed)
            router.on(path, method: method, use: handler)
        }
    }

    private static func refusal(allowed: String) -> Handler {
        { request, context in
            var response = Envelope.failure(
                APIError(.methodNotAllowed, "Method not allowed: \(request.method.rawValue); allowed: \(allowed)"),
                context)
            response.headers[.allow] = allowed
            return response
        }
    }
}

import Coordinator
import Hummingbird

/// The node itself: version, health, metrics.
struct ServiceRoutes: Sendable {
    /// The version of the dialect that is spoken. Clients compare it with their own and warn when it is far off.
    static let dialectVersion = "1.19.0"
    static let version = "0.1.0"

    let api: API

    func add(to table: RouteTable) {
        table.add("/", [.get: root])
        table.add("/healthz", [.get: health("healthz check passed")])
        table.add("/livez", [.get: health("livez check passed")])
        table.add("/readyz", [.get: ready])
        table.add("/metrics", [.get: metrics])
        table.add("/telemetry", [.get: telemetry])
    }

    @Sendable private func root(_ request: Request, _ context: APIContext) async throws -> Response {
        var writer = JSONWriter()
        writer.raw("{\"title\":\"shoal - vector database\",\"version\":")
        writer.string(Self.dialectVersion)
        writer.raw(",\"shoal_version\":")
        writer.string(Self.version)
        writer.raw("}")
        return Envelope.response(.ok, writer)
    }

    /// The process runs and answers; nothing else is asked.
    private func health(_ text: String) -> RouteTable.Handler {
        { _, _ in Envelope.plain(.ok, text) }
    }

    @Sendable private func ready(_ request: Request, _ context: APIContext) async throws -> Response {
        guard let reason = api.database.notReadyReason() else { return Envelope.plain(.ok, "all shards are ready") }
        var response = Envelope.plain(.serviceUnavailable, "not ready: \(reason)")
        response.headers[.retryAfter] = "1"
        return response
    }

    @Sendable private func metrics(_ request: Request, _ context: APIContext) async throws -> Response {
        Envelope.plain(.ok, api.metricsText(), type: "text/plain; version=0.0.4")
    }

    @Sendable private func telemetry(_ request: Request, _ context: APIContext) async throws -> Response {
        let names = try await api.database.collectionNames()
        return Envelope.ok(context) { writer in
            writer.raw("{\"id\":\"shoal\",\"app\":{\"name\":\"shoal\",\"version\":")
            writer.string(Self.version)
            writer.raw("},\"collections\":{\"number_of_collections\":")
            writer.integer(names.count)
            writer.raw("}}")
        }
    }
}

package import Coordinator
package import Hummingbird
package import Logging
import NIOCore
import NIOPosix

/// The HTTP server over `database`, to run as a service: it ends gracefully, requests under way first.
///
/// - Parameters:
///   - snapshots: The snapshots of this node.
///   - defaults: What a collection gets where its creator names nothing.
///   - metricsText: What `/metrics` answers, in Prometheus' text form.
///   - memory: What requests in flight may take.
///   - readTimeout: The longest wait for the answer to a read that names none.
///   - host: The address to listen on.
///   - port: The port; 0 takes a free one.
///   - onRunning: Called with the port when the server listens.
package func makeApplication(
    database: any Database,
    snapshots: any SnapshotDatabase,
    defaults: CollectionDefaults,
    metricsText: @escaping @Sendable () -> String,
    memory: MemoryBudget = MemoryBudget(),
    readTimeout: Duration = .seconds(30),
    host: String,
    port: Int,
    logger: Logger,
    onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
) -> some ApplicationProtocol {
    let api = API(
        database: database, snapshots: snapshots, defaults: defaults,
        bodies: RequestBodies(parsers: JSONParserPool(), threads: .singleton), metricsText: metricsText,
        readTimeout: readTimeout)
    return Application(
        router: makeRouter(api, memory),
        server: .http1(
            configuration: .init(
                additionalChannelHandlers: [EarlyResponseHandler()], idleTimeout: HTTPLimits.idleTimeout)),
        configuration: ApplicationConfiguration(
            address: .hostname(host, port: port), serverName: "shoal", backlog: HTTPLimits.backlog),
        onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? port) },
        logger: logger)
}

private func makeRouter(_ api: API, _ memory: MemoryBudget) -> Router<APIContext> {
    let router = Router(context: APIContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: EnvelopeMiddleware(metrics: RequestMetrics()))
    // Behind the one that turns errors into responses, so that these are counted too.
    router.add(middleware: MemoryMiddleware(budget: memory))
    let table = RouteTable(router: router)
    ServiceRoutes(api: api).add(to: table)
    CollectionRoutes(api: api).add(to: table)
    PointRoutes(api: api).add(to: table)
    QueryRoutes(api: api).add(to: table)
    ClusterRoutes(api: api).add(to: table)
    ShoalRoutes(api: api).add(to: table)
    OperationRoutes(api: api).add(to: table)
    ReshardRoutes(api: api).add(to: table)
    PayloadIndexRoutes(api: api).add(to: table)
    SnapshotRoutes(api: api).add(to: table)
    UnsupportedRoutes().add(to: table)
    return router
}

private enum HTTPLimits {
    /// A connection without a request for this long is closed; clients' pools keep theirs for less or reconnect.
    static let idleTimeout = TimeAmount.minutes(5)
    /// Connections that wait to be accepted, for bursts of clients that start at once.
    static let backlog = 1_024
}

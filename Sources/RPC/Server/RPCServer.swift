import DataModel
package import Logging
package import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Why the server cannot listen.
package enum RPCServerError: Error, Sendable, Equatable {
    /// Something else listens on the port.
    case addressInUse(host: String, port: Int)
    case cannotBind(host: String, port: Int, reason: String)
    /// `start` was called before, or `stop`.
    case alreadyStarted
}

extension RPCServerError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .addressInUse(let host, let port): "port \(port) on \(host) is in use"
        case .cannotBind(let host, let port, let reason): "cannot listen on \(host), port \(port): \(reason)"
        case .alreadyStarted: "the server was started before"
        }
    }
}

/// Answers the requests of other nodes.
package final class RPCServer: Sendable {
    private enum Phase: Sendable {
        case idle
        case starting
        case listening(any Channel)
        case stopped
    }

    private struct State: Sendable {
        var phase = Phase.idle
        var connections: [ObjectIdentifier: ServerConnection] = [:]
    }

    private let identity: NodeIdentity
    private let replicas: any ReplicaHost
    private let readExecutor: (any TaskExecutor)?
    private let group: any EventLoopGroup
    private let security: any ChannelSecurity
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter readExecutor: where reads are performed; nil for Swift's own threads.
    package init(
        identity: NodeIdentity, replicas: any ReplicaHost, readExecutor: (any TaskExecutor)? = nil,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        security: any ChannelSecurity = PlainTCP(), logger: Logger
    ) {
        self.identity = identity
        self.replicas = replicas
        self.readExecutor = readExecutor
        self.group = group
        self.security = security
        self.logger = logger
    }

    /// Listens on `host` and `port`; port 0 lets the system choose.
    ///
    /// - Returns: the port.
    package func start(host: String, port: Int) async throws(RPCServerError) -> Int {
        let isFirst = state.withLock { state in
            guard case .idle = state.phase else { return false }
            state.phase = .starting
            return true
        }
        guard isFirst else { throw .alreadyStarted }
        let channel: any Channel
        do {
            channel = try await bootstrap().bind(host: host, port: port).get()
        } catch {
            state.withLock { $0.phase = .idle }
            if (error as? IOError)?.errnoCode == EADDRINUSE { throw .addressInUse(host: host, port: port) }
            throw .cannotBind(host: host, port: port, reason: error.networkReason)
        }
        let isStopped = state.withLock { state in
            guard case .starting = state.phase else { return true }
            state.phase = .listening(channel)
            return false
        }
        if isStopped {
            try? await channel.close()
            throw .alreadyStarted
        }
        let boundPort = channel.localAddress?.port ?? port
        logger.info("listening for peers", metadata: ["host": "\(host)", "port": "\(boundPort)"])
        return boundPort
    }

    private func bootstrap() -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.recvAllocator, value: receiveAllocator)
            .childChannelOption(
                .writeBufferWaterMark,
                value: ChannelOptions.Types.WriteBufferWaterMark(
                    low: RPCLimits.unsentBytes / 2, high: RPCLimits.unsentBytes)
            )
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    let connection = ServerConnection(
                        server: identity, channel: channel, replicas: replicas, readExecutor: readExecutor,
                        logger: logger)
                    try security.secureServer(channel)
                    try channel.pipeline.syncOperations.addHandler(ServerChannelHandler(connection: connection))
                    try register(connection, of: channel)
                }
            }
    }

    private func register(_ connection: ServerConnection, of channel: any Channel) throws {
        let isStopped = state.withLock { state in
            if case .stopped = state.phase { return true }
            state.connections[ObjectIdentifier(connection)] = connection
            return false
        }
        if isStopped { throw ChannelError.ioOnClosedChannel }
        channel.closeFuture.whenComplete { [self] _ in
            state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(connection)) }
        }
    }

    /// Stops listening, answers new requests with `notServing`, waits up to `grace` for those in flight, and closes
    /// all connections; what still runs then is cancelled.
    package func stop(grace: Duration = .seconds(1)) async {
        let (channel, connections) = state.withLock { state in
            defer { state.phase = .stopped }
            let connections = Array(state.connections.values)
            if case .listening(let channel) = state.phase { return (channel as (any Channel)?, connections) }
            return (nil, connections)
        }
        // It may be closed already, which is what is wanted.
        try? await channel?.close()
        for connection in connections { connection.startDraining() }
        let deadline = Deadline.after(grace)
        while !deadline.isPast, connections.contains(where: { $0.inFlightCount > 0 }) {
            guard (try? await Task.sleep(for: .milliseconds(5))) != nil else { break }
        }
        await withDiscardingTaskGroup { group in
            for connection in connections { group.addTask { await connection.close() } }
        }
    }
}

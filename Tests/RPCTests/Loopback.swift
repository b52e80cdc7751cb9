import DataModel
import Logging
import NIOCore
import NIOPosix
import RPC
import Synchronization
import Testing

let clusterID = "cluster-a"
let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func makeServer(_ replica: FakeReplica, node: NodeID = NodeID(2)) -> RPCServer {
    RPCServer(
        identity: NodeIdentity(cluster: clusterID, node: node), replicas: FakeHost(replica: replica), logger: quiet)
}

func makePool(cluster: String = clusterID) -> PeerPool {
    PeerPool(identity: NodeIdentity(cluster: cluster, node: NodeID(1)), logger: quiet)
}

/// Lends `body` a peer, served by `replica` over a socket.
func withPeer(_ replica: FakeReplica, _ body: (Peer, _ port: Int) async throws -> Void) async throws {
    let server = makeServer(replica)
    let port = try await server.start(host: "127.0.0.1", port: 0)
    let pool = makePool()
    do {
        try await body(pool.peer(node: NodeID(2), host: "127.0.0.1", port: port), port)
    } catch {
        pool.shutdown()
        await server.stop(grace: .zero)
        throw error
    }
    pool.shutdown()
    await server.stop(grace: .zero)
}

extension RequestContext {
    static func soon(epoch: UInt64 = 7, _ duration: Duration = .seconds(20)) -> RequestContext {
        RequestContext(epoch: Epoch(epoch), deadline: .after(duration))
    }
}

/// Something else happened than the test is about.
struct Unexpected: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

struct ConditionNeverHeld: Error {}

/// Waits until `condition` holds, at most forty seconds: all tests share a few threads.
func eventually(_ condition: () async throws -> Bool) async throws {
    let deadline = Deadline.after(.seconds(40))
    while !(try await condition()) {
        guard !deadline.isPast else { throw ConditionNeverHeld() }
        try await Task.sleep(for: .milliseconds(2))
    }
}

/// What a call throws, or nil.
func failure<Answer>(_ call: () async throws(ShardError) -> Answer) async -> ShardError? {
    do throws(ShardError) {
        _ = try await call()
        return nil
    } catch {
        return error
    }
}

extension ShardError {
    var unreachableReason: String? { if case .unreachable(let reason) = self { reason } else { nil } }
}

/// Opens once; all that wait go on then.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    var waitingCount: Int { state.withLock { $0.waiting.count } }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// A socket without a protocol: sends bytes, collects what comes, knows when it was closed.
final class RawSocket: Sendable {
    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let received: @Sendable (ByteBuffer) -> Void
        init(received: @escaping @Sendable (ByteBuffer) -> Void) { self.received = received }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { received(unwrapInboundIn(data)) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    let channel: any Channel
    private let inbox: Inbox

    private init(channel: any Channel, inbox: Inbox) {
        self.channel = channel
        self.inbox = inbox
    }

    static func connect(port: Int) async throws -> RawSocket {
        let inbox = Inbox()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Collector { buffer in inbox.bytes.withLock { _ = $0.writeImmutableBuffer(buffer) } })
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawSocket(channel: channel, inbox: inbox)
    }

    final class Inbox: Sendable {
        let bytes = Mutex(ByteBuffer())
    }

    func send(_ buffer: ByteBuffer) { channel.writeAndFlush(buffer, promise: nil) }

    /// All the frames that came.
    func frames() throws -> [Frame] {
        var decoder = FrameDecoder(limitBytes: RPCLimits.frameBytes)
        decoder.append(inbox.bytes.withLock { $0 })
        var frames: [Frame] = []
        while let frame = try decoder.next() { frames.append(frame) }
        return frames
    }

    func close() async { try? await channel.close() }

    var isClosed: Bool { !channel.isActive }
}

import DataModel
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Where a node listens for its peers.
struct PeerAddress: Sendable, Equatable, CustomStringConvertible {
    var host: String
    var port: Int

    var description: String { "\(host):\(port)" }
}

/// One connection to a peer, made when it is needed and again after it broke: performs what `ClientState` decides.
final class PeerConnection: Sendable {
    typealias Reply = CheckedContinuation<Result<ByteBuffer, ShardError>, Never>

    private struct Guarded: Sendable {
        var machine: ClientState<Reply>
        var address: PeerAddress
        /// The socket of the current attempt, from when it is connected until it is closed.
        var channel: (any Channel)?
    }

    private let guarded: Mutex<Guarded>
    private let node: NodeID
    private let eventLoop: any EventLoop
    private let security: any ChannelSecurity
    private let logger: Logger
    /// 0 is the id of frames that belong to no request.
    private let nextID = Atomic<UInt64>(1)

    init(
        client: NodeIdentity, node: NodeID, address: PeerAddress, eventLoop: any EventLoop,
        security: any ChannelSecurity, logger: Logger
    ) {
        let machine = ClientState<Reply>(client: client, expectedNode: node)
        guarded = Mutex(Guarded(machine: machine, address: address))
        self.node = node
        self.eventLoop = eventLoop
        self.security = security
        self.logger = logger
    }

    /// Sends `frame` with an id of its own and waits for the body of the answer.
    ///
    /// - Throws: what the peer answered; `unreachable` when there is no connection; `deadlineExceeded` at the deadline
    ///   and when the task is cancelled, and then the peer is told; `overloaded` when too many requests are pending.
    func send(_ frame: Frame, body: [UInt8], deadline: Deadline) async throws(ShardError) -> ByteBuffer {
        var frame = frame
        frame.id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        let id = frame.id
        let bytes = frame.encoded(body: body)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (reply: Reply) in
                submit(id: id, bytes: bytes, deadline: deadline, reply: reply)
                // A cancellation that came before the request was submitted did not find it.
                if Task.isCancelled { cancel(id: id) }
            }
        } onCancel: {
            cancel(id: id)
        }
        return try result.get()
    }

    private func submit(id: UInt64, bytes: ByteBuffer, deadline: Deadline, reply: Reply) {
        let (action, alarm) = guarded.withLock {
            $0.machine.submit(id: id, bytes: bytes, deadline: deadline.instant, now: .now, reply: reply)
        }
        if let alarm { setAlarm(alarm) }
        switch action {
        case .wait: break
        case .drain: scheduleDrain()
        case .connect(let attempt): connect(attempt: attempt)
        case .fail(let error): reply.resume(returning: .failure(error))
        }
    }

    private func cancel(id: UInt64) {
        let (reply, drain) = guarded.withLock { $0.machine.cancel(id: id) }
        reply?.resume(returning: .failure(.deadlineExceeded))
        if drain { scheduleDrain() }
    }

    /// Breaks the connection when the address is another; the next request connects to it.
    func redirect(to address: PeerAddress) {
        end(because: "it moved to \(address)") { guarded in
            guard guarded.address != address else { return [] }
            guarded.address = address
            return guarded.machine.redirected()
        }
    }

    func shutDown() {
        end(because: "this node is shutting down") { $0.machine.shutDown() }
    }

    /// Applies `change`, which yields the replies to fail, and closes the socket when it ended the attempt.
    private func end(because reason: String, _ change: (inout Guarded) -> [Reply]) {
        let (replies, channel, address) = guarded.withLock { guarded in
            let attempt = guarded.machine.attempt
            let replies = change(&guarded)
            guard guarded.machine.attempt != attempt else { return (replies, nil as (any Channel)?, guarded.address) }
            defer { guarded.channel = nil }
            return (replies, guarded.channel, guarded.address)
        }
        fail(replies, address: address, reason: reason)
        channel?.close(promise: nil)
    }

    private func fail(_ replies: [Reply], address: PeerAddress, reason: String) {
        let error = ShardError.unreachable(reason: "node \(node) at \(address): \(reason)")
        for reply in replies { reply.resume(returning: .failure(error)) }
    }
}

// MARK: - The socket

extension PeerConnection {
    private func connect(attempt: UInt64) {
        let address = guarded.withLock { $0.address }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(RPCLimits.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.recvAllocator, value: receiveAllocator)
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try security.secureClient(channel, peer: node)
                    try channel.pipeline.syncOperations.addHandler(
                        PeerChannelHandler(connection: self, attempt: attempt))
                }
            }
            .connect(host: address.host, port: address.port)
            .whenFailure { [self] error in closed(attempt: attempt, reason: error.networkReason) }
    }

    /// The socket of `attempt` is connected. On the event loop.
    func connected(attempt: UInt64, channel: any Channel) {
        let hello = guarded.withLock { guarded in
            let hello = guarded.machine.connected(attempt: attempt)
            if hello != nil { guarded.channel = channel }
            return hello
        }
        guard let hello else { return channel.close(promise: nil) }
        channel.writeAndFlush(hello, promise: nil)
        channel.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(RPCLimits.handshakeTimeout)) { [self] in
            guard guarded.withLock({ $0.machine.attempt == attempt && $0.machine.phase == .connecting }) else { return }
            closed(attempt: attempt, reason: "no answer to the greeting in \(RPCLimits.handshakeTimeout)")
            channel.close(promise: nil)
        }
    }

    /// A frame came. Returns why the channel must be closed, if it must. On the event loop.
    func received(_ frame: Frame, attempt: UInt64, channel: any Channel) -> String? {
        let action = guarded.withLock { $0.machine.receive(frame, attempt: attempt, now: .now) }
        switch action {
        case .none: break
        case .ready:
            logger.debug("connected to a peer", metadata: metadata)
            drain()
        case .complete(let reply, let result): reply.resume(returning: result)
        case .close(let reason): return reason
        }
        return nil
    }

    /// The connection could not be made, or broke. Only the first report of an attempt counts.
    func closed(attempt: UInt64, reason: String) {
        let (isCurrent, replies, failures, address) = guarded.withLock { guarded in
            let isCurrent = guarded.machine.attempt == attempt
            let described = "node \(node) at \(guarded.address): \(reason)"
            let replies = guarded.machine.closed(attempt: attempt, reason: described, now: .now)
            if isCurrent { guarded.channel = nil }
            return (isCurrent, replies, guarded.machine.failuresInARow, guarded.address)
        }
        fail(replies, address: address, reason: reason)
        guard isCurrent else { return }
        // Once per outage: the retries that follow say nothing new.
        let level: Logger.Level = failures == 1 ? .warning : .debug
        logger.log(level: level, "no connection to a peer: \(reason)", metadata: metadata)
    }

    private func scheduleDrain() {
        eventLoop.execute { self.drain() }
    }

    private func drain() {
        let (channel, frames) = guarded.withLock { ($0.channel, $0.machine.drain()) }
        guard let channel, !frames.isEmpty else { return }
        for frame in frames { channel.write(frame, promise: nil) }
        channel.flush()
    }

    private func setAlarm(_ instant: ContinuousClock.Instant) {
        eventLoop.scheduleTask(in: TimeAmount(max(instant - .now, .zero))) { [weak self] in self?.wake() }
    }

    private func wake() {
        let (actions, channel, attempt) = guarded.withLock {
            ($0.machine.wake(now: .now), $0.channel, $0.machine.attempt)
        }
        for reply in actions.expired { reply.resume(returning: .failure(.deadlineExceeded)) }
        if actions.drain { drain() }
        if let reason = actions.close {
            closed(attempt: attempt, reason: reason)
            channel?.close(promise: nil)
        }
        if let alarm = actions.alarm { setAlarm(alarm) }
    }

    private var metadata: Logger.Metadata {
        ["peer": "\(node)", "address": "\(guarded.withLock { $0.address })"]
    }
}

import DataModel
import Logging
import NIOCore
import Synchronization

/// One connection of a peer: performs what `ServerState` decides. Each request runs in a task of its own.
final class ServerConnection: Sendable {
    enum Reaction: Sendable {
        case goOn
        case handshakeDone
        case closing
    }

    private let state: Mutex<ServerState<Task<Void, Never>>>
    private let channel: any Channel
    private let dispatch: RequestDispatch
    private let readExecutor: (any TaskExecutor)?
    private let logger: Logger

    init(
        server: NodeIdentity, channel: any Channel, replicas: any ReplicaHost, readExecutor: (any TaskExecutor)?,
        logger: Logger
    ) {
        state = Mutex(ServerState(server: server))
        self.channel = channel
        dispatch = RequestDispatch(replicas: replicas)
        self.readExecutor = readExecutor
        var logger = logger
        logger[metadataKey: "remote"] = "\(channel.remoteAddress?.description ?? "unknown")"
        self.logger = logger
    }

    var inFlightCount: Int { state.withLock { $0.inFlightCount } }

    /// Takes no new requests from now on.
    func startDraining() { state.withLock { $0.startDraining() } }

    func close() async {
        // It may be closed already, which is what is wanted.
        try? await channel.close()
    }
}

// MARK: - On the event loop

extension ServerConnection {
    func opened() {
        channel.eventLoop.scheduleTask(in: TimeAmount(RPCLimits.helloTimeout)) { [weak self] in
            guard let self, state.withLock({ $0.phase == .awaitingHello }) else { return }
            violated(reason: "it did not introduce itself in \(RPCLimits.helloTimeout)")
        }
    }

    func received(_ frame: Frame) -> Reaction {
        switch state.withLock({ $0.receive(frame, now: .now) }) {
        case .none:
            return .goOn
        case .welcome:
            drain()
            return .handshakeDone
        case .drain:
            // More frames may have come in the same read: one flush for the answers to all of them.
            scheduleDrain()
            return .goOn
        case .cancel(let work):
            work.cancel()
            return .goOn
        case .perform(let id, let method, let body, let deadline, let alarm):
            if let alarm { setAlarm(alarm) }
            let executor = Method(rawValue: method)?.isRead == true ? readExecutor : nil
            let work = Task(executorPreference: executor) {
                await self.perform(id: id, method: method, body: body, deadline: Deadline(deadline))
            }
            state.withLock { $0.attach(work, id: id) }
            return .goOn
        case .refuse(let frame, let reason):
            logger.warning("refused a peer's connection: \(reason)")
            channel.writeAndFlush(frame).whenComplete { [channel] _ in channel.close(promise: nil) }
            return .closing
        case .close(let reason):
            violated(reason: reason)
            return .closing
        }
    }

    /// The other side is no peer, or a broken one.
    func violated(reason: String) {
        logger.warning("closed a peer's connection: \(reason)")
        channel.close(promise: nil)
    }

    func broke(_ error: any Error) {
        logger.debug("a peer's connection broke: \(error.networkReason)")
        channel.close(promise: nil)
    }

    func closed() {
        for work in state.withLock({ $0.closed() }) { work.cancel() }
    }

    func mayRead() -> Bool { state.withLock { $0.mayRead() } }

    func writabilityChanged(to isWritable: Bool) {
        if state.withLock({ $0.writabilityChanged(to: isWritable) }) { channel.read() }
    }

    private func drain() {
        let (frames, read) = state.withLock { $0.drain() }
        for frame in frames { channel.write(frame, promise: nil) }
        if !frames.isEmpty { channel.flush() }
        if read { channel.read() }
    }

    private func setAlarm(_ instant: ContinuousClock.Instant) {
        channel.eventLoop.scheduleTask(in: TimeAmount(max(instant - .now, .zero))) { [weak self] in
            guard let self else { return }
            let (expired, alarm) = state.withLock { $0.wake(now: .now) }
            for work in expired { work.cancel() }
            if let alarm { setAlarm(alarm) }
        }
    }
}

// MARK: - Requests

extension ServerConnection {
    private func perform(id: UInt64, method: UInt8, body: ByteBuffer, deadline: Deadline) async {
        let answer: ByteBuffer
        do throws(ShardError) {
            let response = try await dispatch.perform(method: method, body: body, deadline: deadline)
            answer = Frame(kind: .response, id: id).encoded(body: response)
        } catch {
            answer = Frame(kind: .failure, id: id).encoded(body: error.encoded())
        }
        if state.withLock({ $0.finish(id: id, answer: answer) }) { scheduleDrain() }
    }

    private func scheduleDrain() {
        channel.eventLoop.execute { self.drain() }
    }
}

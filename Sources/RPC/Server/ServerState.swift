package import DataModel
package import NIOCore

/// One connection of a peer as the server sees it: a pure state machine, whose shell is `ServerConnection`.
///
/// `Work` is what the shell needs to cancel the work on a request.
package struct ServerState<Work: Sendable>: Sendable {
    package enum Phase: Sendable, Equatable {
        case awaitingHello
        case open(client: NodeID)
        /// No new requests; those in flight are answered.
        case draining
        case closed
    }

    package typealias Instant = ContinuousClock.Instant

    private struct InFlight: Sendable {
        /// Nil until the shell has attached it.
        var work: Work?
        let deadline: Instant
        let bytes: Int
        /// The work was told to end. Its answer is not sent when the client was the one who asked for it.
        var isCancelled = false
        var isAnswerWanted = true
    }

    let server: NodeIdentity
    package private(set) var phase = Phase.awaitingHello
    private var inFlight: [UInt64: InFlight] = [:]
    private var inFlightBytes = 0
    private var outbox = Outbox()
    private var isWritable = true
    /// Whether the channel asked to read and was not let.
    private var isReadHeld = false
    private var alarm: Instant?

    package init(server: NodeIdentity) { self.server = server }

    package var inFlightCount: Int { inFlight.count }
}

// MARK: - Frames that come in

extension ServerState {
    package enum ReceiveAction: Sendable {
        case none
        /// The handshake is done. Longer frames are allowed from now on; drain.
        case welcome
        /// Write this frame, then close.
        case refuse(ByteBuffer, reason: String)
        /// Start the work on a request; set an alarm for the moment, if any.
        case perform(id: UInt64, method: UInt8, body: ByteBuffer, deadline: Instant, alarm: Instant?)
        case cancel(Work)
        case drain
        /// The peer does what it must not: close the connection.
        case close(reason: String)
    }

    package mutating func receive(_ frame: Frame, now: Instant) -> ReceiveAction {
        switch (phase, frame.kind) {
        case (.closed, _):
            return .none
        case (.awaitingHello, .hello):
            return receiveHello(frame.body)
        case (.open, .request):
            return receiveRequest(frame, now: now)
        case (.draining, .request):
            let error = ShardError.notServing(reason: "the node is shutting down")
            return send(Frame(kind: .failure, id: frame.id).encoded(body: error.encoded()))
        case (.open, .cancel), (.draining, .cancel):
            inFlight[frame.id]?.isAnswerWanted = false
            guard let work = cancelWork(frame.id) else { return .none }
            return .cancel(work)
        case (.open, .ping), (.draining, .ping):
            return send(Frame(kind: .pong, id: frame.id).encoded())
        default:
            return .close(reason: "it sent a frame that was not expected: \(frame.kind)")
        }
    }

    private mutating func receiveHello(_ body: ByteBuffer) -> ReceiveAction {
        let hello: Hello
        do throws(BinaryFormatError) {
            hello = try Hello(decoding: body)
        } catch {
            return .close(reason: "it sent a malformed greeting: \(error)")
        }
        if let refusal = hello.refusal(from: server) {
            phase = .closed
            return .refuse(Frame(kind: .refusal).encoded(body: refusal.encoded()), reason: refusal.reason)
        }
        phase = .open(client: hello.client.node)
        outbox.append(Frame(kind: .welcome).encoded(body: Welcome(server: server).encoded()))
        return .welcome
    }

    private mutating func receiveRequest(_ frame: Frame, now: Instant) -> ReceiveAction {
        guard inFlight[frame.id] == nil else {
            return .close(reason: "it sent request \(frame.id) while one with this id was in flight")
        }
        let deadline = now + .microseconds(Int64(frame.remainingMicroseconds))
        inFlight[frame.id] = InFlight(deadline: deadline, bytes: frame.body.readableBytes)
        inFlightBytes += frame.body.readableBytes
        return .perform(
            id: frame.id, method: frame.method, body: frame.body, deadline: deadline, alarm: moveAlarm(to: deadline))
    }

    private mutating func send(_ frame: ByteBuffer) -> ReceiveAction {
        outbox.append(frame)
        return outbox.needsDrain() ? .drain : .none
    }
}

// MARK: - Work

extension ServerState {
    /// The shell has started the work on a request, which may have finished since.
    package mutating func attach(_ work: Work, id: UInt64) { inFlight[id]?.work = work }

    /// The work on a request ended with a response or failure. Returns whether to drain.
    package mutating func finish(id: UInt64, answer: ByteBuffer) -> Bool {
        guard phase != .closed, let entry = inFlight.removeValue(forKey: id) else { return false }
        inFlightBytes -= entry.bytes
        if entry.isAnswerWanted { outbox.append(answer) }
        return (entry.isAnswerWanted || isReadHeld) && outbox.needsDrain()
    }

    private mutating func cancelWork(_ id: UInt64) -> Work? {
        guard let entry = inFlight[id], !entry.isCancelled else { return nil }
        inFlight[id]?.isCancelled = true
        return entry.work
    }

    /// The frames to write now, and whether the channel may read again, which it was kept from.
    package mutating func drain() -> (frames: [ByteBuffer], read: Bool) {
        let frames = outbox.drain().map(\.bytes)
        return (frames, releaseRead())
    }

    /// The deadlines of requests may have passed. Returns the work to cancel, and when to wake the machine again.
    package mutating func wake(now: Instant) -> (expired: [Work], alarm: Instant?) {
        // The event loop's clock may run a little ahead of ours.
        guard let due = alarm, due <= now + .milliseconds(2) else { return ([], nil) }
        alarm = nil
        let expired = inFlight.filter { $0.value.deadline <= now }.keys.compactMap { cancelWork($0) }
        let next = inFlight.values.lazy.filter { !$0.isCancelled }.map(\.deadline).min()
        return (expired, next.flatMap { moveAlarm(to: max($0, now + .milliseconds(1))) })
    }

    private mutating func moveAlarm(to instant: Instant) -> Instant? {
        if let alarm, alarm <= instant { return nil }
        alarm = instant
        return instant
    }
}

// MARK: - Flow control and the end

extension ServerState {
    /// Whether the channel may read now. When not, `drain` or `writabilityChanged` says later that it may.
    package mutating func mayRead() -> Bool {
        isReadHeld = !hasRoom
        return hasRoom
    }

    /// Returns whether the channel may read again, which it was kept from.
    package mutating func writabilityChanged(to isWritable: Bool) -> Bool {
        self.isWritable = isWritable
        return releaseRead()
    }

    private mutating func releaseRead() -> Bool {
        guard isReadHeld, hasRoom else { return false }
        isReadHeld = false
        return true
    }

    private var hasRoom: Bool {
        isWritable && inFlight.count < RPCLimits.inFlightRequests && inFlightBytes < RPCLimits.inFlightBytes
    }

    /// Takes no new requests from now on.
    package mutating func startDraining() {
        if case .open = phase { phase = .draining }
    }

    /// The connection is closed. Returns the work to cancel.
    package mutating func closed() -> [Work] {
        phase = .closed
        outbox.removeAll()
        defer {
            inFlight = [:]
            inFlightBytes = 0
        }
        return inFlight.values.filter { !$0.isCancelled }.compactMap(\.work)
    }
}

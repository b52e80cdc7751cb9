package import DataModel
package import NIOCore

/// One connection to a peer as the client sees it, over all the times that it breaks and is made again: a pure state
/// machine, whose shell is `PeerConnection`.
///
/// Requests are taken in any phase. Those that come while the connection is being made wait in the outbox; when it
/// fails or breaks, all that are pending fail.
///
/// `Reply` is what the shell needs to hand over an answer.
package struct ClientState<Reply: Sendable>: Sendable {
    package enum Phase: Sendable, Equatable {
        case idle
        /// The socket is being connected, or the hello was sent and not answered.
        case connecting
        case ready
        case shutDown
    }

    package typealias Instant = ContinuousClock.Instant

    struct Pending: Sendable {
        let reply: Reply
        let deadline: Instant
        let bytes: Int
        /// Whether the frame left the outbox; until then the peer knows nothing of the request.
        var isSent = false
    }

    package private(set) var phase = Phase.idle
    /// Counts the attempts to connect. What is reported of an earlier attempt than this is ignored.
    package private(set) var attempt: UInt64 = 0
    private var pending: [UInt64: Pending] = [:]
    private var pendingBytes = 0
    private var outbox = Outbox()

    private var backOff = BackOff()
    private var lastFailure = ""

    private var lastHeard = Instant.now
    private var isPingSent = false
    /// The moment that the shell's next alarm is set for; nil when none is.
    private var alarm: Instant?

    let client: NodeIdentity
    let expectedNode: NodeID

    package init(client: NodeIdentity, expectedNode: NodeID) {
        self.client = client
        self.expectedNode = expectedNode
    }

    /// Failures to connect in a row: the shell reports the first loudly.
    package var failuresInARow: Int { backOff.failures }
}

// MARK: - Requests

extension ClientState {
    /// What the shell does after a request came in.
    package enum SubmitAction: Sendable, Equatable {
        /// Start a connection, and report it by `attempt`.
        case connect(attempt: UInt64)
        /// Ask the event loop to drain the outbox.
        case drain
        /// Nothing: what has to happen will.
        case wait
        /// Give the caller this error; the request was not taken.
        case fail(ShardError)
    }

    /// Takes the request `id`, whose frame is `bytes`. The shell sets an alarm for the moment returned, if any.
    package mutating func submit(
        id: UInt64, bytes: ByteBuffer, deadline: Instant, now: Instant, reply: Reply
    ) -> (action: SubmitAction, alarm: Instant?) {
        if let error = admissionError(bytes: bytes.readableBytes, deadline: deadline, now: now) {
            return (.fail(error), nil)
        }
        if pending.isEmpty {
            lastHeard = now
            isPingSent = false
        }
        pending[id] = Pending(reply: reply, deadline: deadline, bytes: bytes.readableBytes)
        pendingBytes += bytes.readableBytes
        outbox.append(bytes, id: id)
        let alarm = moveAlarm(to: min(deadline, now + RPCLimits.silenceBeforePing))
        switch phase {
        case .idle:
            phase = .connecting
            attempt += 1
            return (.connect(attempt: attempt), alarm)
        case .ready: return (outbox.needsDrain() ? .drain : .wait, alarm)
        case .connecting, .shutDown: return (.wait, alarm)
        }
    }

    private func admissionError(bytes: Int, deadline: Instant, now: Instant) -> ShardError? {
        if phase == .shutDown { return .unreachable(reason: "this node is shutting down") }
        if deadline <= now { return .deadlineExceeded }
        if phase == .idle, !backOff.mayTry(now: now) { return .unreachable(reason: lastFailure) }
        guard !pending.isEmpty else { return nil }
        if pending.count >= RPCLimits.pendingRequests || pendingBytes + bytes > RPCLimits.pendingBytes {
            return .overloaded(reason: "\(pending.count) requests wait for node \(expectedNode)")
        }
        return nil
    }

    /// Nobody waits for `id` any more. Returns its reply, when it was still pending, and whether to drain.
    package mutating func cancel(id: UInt64) -> (reply: Reply?, drain: Bool) {
        guard let entry = remove(id) else { return (nil, false) }
        return (entry.reply, withdraw(id: id, entry))
    }

    /// Tells the peer that a request which it may know of is not waited for. Returns whether to drain.
    private mutating func withdraw(id: UInt64, _ entry: Pending) -> Bool {
        guard phase == .ready, entry.isSent else { return false }
        outbox.append(Frame(kind: .cancel, id: id).encoded())
        return outbox.needsDrain()
    }

    private mutating func remove(_ id: UInt64) -> Pending? {
        guard let entry = pending.removeValue(forKey: id) else { return nil }
        pendingBytes -= entry.bytes
        return entry
    }

    /// The frames to write now; empty while the handshake is not done.
    package mutating func drain() -> [ByteBuffer] {
        guard phase == .ready else { return [] }
        return outbox.drain().compactMap { frame in
            if let id = frame.id {
                guard pending[id] != nil else { return nil }
                pending[id]?.isSent = true
            }
            return frame.bytes
        }
    }
}

// MARK: - The connection's life

extension ClientState {
    /// The socket of `attempt` is connected: the hello to send, or nil when that attempt is of the past.
    package func connected(attempt: UInt64) -> ByteBuffer? {
        guard attempt == self.attempt, phase == .connecting else { return nil }
        let hello = Hello(client: client, expectedNode: expectedNode)
        return Frame(kind: .hello).encoded(body: hello.encoded())
    }

    package enum ReceiveAction: Sendable {
        case none
        /// The handshake is done.
        case ready
        case complete(Reply, Result<ByteBuffer, ShardError>)
        /// The peer does what it must not: close the connection, and report it as closed for this reason.
        case close(reason: String)
    }

    package mutating func receive(_ frame: Frame, attempt: UInt64, now: Instant) -> ReceiveAction {
        guard attempt == self.attempt else { return .none }
        lastHeard = now
        isPingSent = false
        switch (phase, frame.kind) {
        case (.connecting, .welcome):
            return receiveWelcome(frame.body)
        case (.connecting, .refusal):
            let reason = (try? Refusal(decoding: frame.body).reason) ?? "without a reason"
            return .close(reason: "it refuses the connection: \(reason)")
        case (.ready, .response), (.ready, .pong):
            // The request is not pending when it was cancelled or ran out of time: the answer came too late.
            guard let entry = remove(frame.id) else { return .none }
            return .complete(entry.reply, .success(frame.body))
        case (.ready, .failure):
            guard let entry = remove(frame.id) else { return .none }
            do throws(BinaryFormatError) {
                return .complete(entry.reply, .failure(try ShardError(decoding: frame.body)))
            } catch {
                return .complete(entry.reply, .failure(.unreachable(reason: "its error is malformed: \(error)")))
            }
        case (.idle, _), (.shutDown, _):
            return .none
        default:
            return .close(reason: "it sent a frame that was not expected: \(frame.kind)")
        }
    }

    private mutating func receiveWelcome(_ body: ByteBuffer) -> ReceiveAction {
        guard let server = try? Welcome(decoding: body).server else {
            return .close(reason: "its welcome is malformed")
        }
        guard server == NodeIdentity(cluster: client.cluster, node: expectedNode) else {
            return .close(reason: "it is node \(server.node) of cluster \(server.cluster)")
        }
        phase = .ready
        backOff.succeeded()
        _ = outbox.needsDrain()
        return .ready
    }

    /// The connection of `attempt` could not be made, or broke. Returns the replies that fail with `unreachable`.
    package mutating func closed(attempt: UInt64, reason: String, now: Instant) -> [Reply] {
        guard attempt == self.attempt, phase == .connecting || phase == .ready else { return [] }
        if phase == .connecting { backOff.failed(now: now) }
        lastFailure = reason
        return reset(to: .idle)
    }

    /// The peer has another address: the next request connects to it at once. Returns the replies that fail.
    package mutating func redirected() -> [Reply] {
        guard phase != .shutDown else { return [] }
        backOff.succeeded()
        return reset(to: .idle)
    }

    /// Ends all, for good. Returns the replies that fail.
    package mutating func shutDown() -> [Reply] { reset(to: .shutDown) }

    private mutating func reset(to phase: Phase) -> [Reply] {
        self.phase = phase
        attempt += 1
        defer {
            pending = [:]
            pendingBytes = 0
            outbox.removeAll()
            alarm = nil
        }
        return pending.values.map(\.reply)
    }
}

// MARK: - Time

extension ClientState {
    package struct WakeActions: Sendable {
        /// Replies that fail with `deadlineExceeded`.
        package var expired: [Reply] = []
        package var drain = false
        /// The peer is silent: close the connection, and report it as closed for this reason.
        package var close: String?
        /// When to wake the machine again.
        package var alarm: Instant?
    }

    /// An alarm went off. Alarms that were set for later than is needed now are ignored here.
    package mutating func wake(now: Instant) -> WakeActions {
        var actions = WakeActions()
        // The event loop's clock may run a little ahead of ours.
        guard let due = alarm, due <= now + .milliseconds(2) else { return actions }
        alarm = nil
        for (id, entry) in pending where entry.deadline <= now {
            _ = remove(id)
            actions.expired.append(entry.reply)
            actions.drain = withdraw(id: id, entry) || actions.drain
        }
        guard !pending.isEmpty else { return actions }
        if phase == .ready {
            if lastHeard + RPCLimits.silenceBeforeClose <= now {
                actions.close = "it has not been heard of for \(RPCLimits.silenceBeforeClose)"
                return actions
            }
            if !isPingSent, lastHeard + RPCLimits.silenceBeforePing <= now {
                isPingSent = true
                outbox.append(Frame(kind: .ping).encoded())
                actions.drain = outbox.needsDrain() || actions.drain
            }
        }
        actions.alarm = moveAlarm(to: max(nextAlarm(now: now), now + .milliseconds(1)))
        return actions
    }

    private func nextAlarm(now: Instant) -> Instant {
        // While connecting, silence is bounded by the time-outs of the socket and of the handshake.
        let silenceStart = phase == .ready ? lastHeard : now
        let silence = isPingSent ? RPCLimits.silenceBeforeClose : RPCLimits.silenceBeforePing
        return pending.values.reduce(silenceStart + silence) { min($0, $1.deadline) }
    }

    /// Returns the alarm to set when it has to go off sooner than the one that is set.
    private mutating func moveAlarm(to instant: Instant) -> Instant? {
        if let alarm, alarm <= instant { return nil }
        alarm = instant
        return instant
    }
}

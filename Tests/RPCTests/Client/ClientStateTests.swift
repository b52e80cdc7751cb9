import DataModel
import NIOCore
import RPC
import Testing

@Suite struct ClientStateTests {
    private let start = ContinuousClock.now
    private let server = NodeIdentity(cluster: "c", node: NodeID(2))

    private func makeState() -> ClientState<Int> {
        ClientState(client: NodeIdentity(cluster: "c", node: NodeID(1)), expectedNode: NodeID(2))
    }

    private func bytes(_ id: UInt64) -> ByteBuffer { Frame(kind: .request, id: id).encoded() }

    /// A state whose handshake is done and which has `ids` pending, sent when `isSent`.
    private func readyState(ids: [UInt64], deadlineAfter: Duration = .seconds(30)) -> ClientState<Int> {
        var state = makeState()
        for id in ids {
            _ = state.submit(id: id, bytes: bytes(id), deadline: start + deadlineAfter, now: start, reply: Int(id))
        }
        welcome(&state)
        return state
    }

    private func welcome(_ state: inout ClientState<Int>) {
        let frame = Frame(kind: .welcome, body: ByteBuffer(bytes: Welcome(server: server).encoded()))
        let attempt = state.attempt
        guard case .ready = state.receive(frame, attempt: attempt, now: start) else {
            Issue.record("the welcome was not accepted")
            return
        }
    }

    private func kinds(_ buffers: [ByteBuffer]) throws -> [String] {
        try buffers.map { buffer in
            let frame = try Frame(wholeFrame: buffer)
            return "\(frame.kind) \(frame.id)"
        }
    }

    @Test func requestsThatComeBeforeTheHandshakeAreSentAfterIt() throws {
        var state = makeState()
        let first = state.submit(id: 1, bytes: bytes(1), deadline: start + .seconds(9), now: start, reply: 1)
        #expect(first.action == .connect(attempt: 1))
        #expect(first.alarm == start + .seconds(2))
        let second = state.submit(id: 2, bytes: bytes(2), deadline: start + .seconds(1), now: start, reply: 2)
        #expect(second.action == .wait)
        #expect(second.alarm == start + .seconds(1))
        let hello = state.connected(attempt: 1)
        #expect(hello != nil)
        let frames = state.drain().isEmpty
        #expect(frames)
        welcome(&state)
        let frames2 = try kinds(state.drain())
        #expect(frames2 == ["request 1", "request 2"])
        let frames3 = state.drain().isEmpty
        #expect(frames3)
    }

    @Test func oneDrainIsAskedForHoweverManyRequestsCome() {
        var state = readyState(ids: [1])
        _ = state.drain()
        let actions = (2...5).map { id in
            state.submit(id: id, bytes: bytes(id), deadline: start + .seconds(9), now: start, reply: 0).action
        }
        #expect(actions == [.drain, .wait, .wait, .wait])
    }

    @Test func allPendingFailWhenTheConnectionBreaks() {
        var state = readyState(ids: [1, 2, 3])
        let failed = Set(state.closed(attempt: 1, reason: "gone", now: start))
        #expect(failed == [1, 2, 3])
        let failed2 = state.closed(attempt: 1, reason: "gone", now: start).isEmpty
        #expect(failed2)
        // A connection that once worked is made again at once.
        let next = state.submit(id: 4, bytes: bytes(4), deadline: start + .seconds(9), now: start, reply: 4)
        #expect(next.action == .connect(attempt: 3))
    }

    @Test func reportsOfAnEarlierAttemptAreIgnored() {
        var state = readyState(ids: [1])
        _ = state.redirected()
        _ = state.submit(id: 2, bytes: bytes(2), deadline: start + .seconds(9), now: start, reply: 2)
        let failed = state.closed(attempt: 1, reason: "gone", now: start).isEmpty
        #expect(failed)
        let hello = state.connected(attempt: 1)
        #expect(hello == nil)
        #expect(state.phase == .connecting)
    }

    @Test func theFirstRetryIsAtOnceAndLaterOnesFailFast() throws {
        var state = makeState()
        var now = start
        var id: UInt64 = 0
        func submit() -> ClientState<Int>.SubmitAction {
            id += 1
            return state.submit(id: id, bytes: bytes(id), deadline: now + .seconds(9), now: now, reply: 0).action
        }
        for _ in 0..<2 {
            guard case .connect(let attempt) = submit() else { throw Unexpected("no attempt to connect") }
            _ = state.closed(attempt: attempt, reason: "refused", now: now)
        }
        let action = submit()
        #expect(action == .fail(.unreachable(reason: "refused")))
        now += .milliseconds(50)
        guard case .connect = submit() else { throw Unexpected("no attempt to connect after the pause") }
    }

    @Test func pausesDoubleUpToTheLongest() {
        var backOff = BackOff()
        var now = start
        var pauses: [Int] = []
        for _ in 0..<7 {
            backOff.failed(now: now)
            var pause = 0
            while !backOff.mayTry(now: now) {
                pause += 10
                now += .milliseconds(10)
            }
            pauses.append(pause)
        }
        #expect(pauses == [0, 50, 100, 200, 400, 500, 500])
    }

    @Test func requestsExpireAtTheirDeadlineAndThePeerIsToldOfThoseItKnows() throws {
        var state = readyState(ids: [1], deadlineAfter: .milliseconds(100))
        _ = state.drain()
        _ = state.submit(id: 2, bytes: bytes(2), deadline: start + .milliseconds(90), now: start, reply: 2)
        let wake = state.wake(now: start + .milliseconds(50)).expired.isEmpty
        #expect(wake)
        let actions = state.wake(now: start + .milliseconds(101))
        #expect(Set(actions.expired) == [1, 2])
        #expect(actions.alarm == nil)
        let frames = try kinds(state.drain())
        #expect(frames == ["cancel 1"])
    }

    @Test func theNextDeadlineIsWokenFor() {
        var state = readyState(ids: [1], deadlineAfter: .milliseconds(100))
        _ = state.submit(id: 2, bytes: bytes(2), deadline: start + .milliseconds(300), now: start, reply: 2)
        let actions = state.wake(now: start + .milliseconds(100))
        #expect(actions.expired == [1])
        #expect(actions.alarm == start + .milliseconds(300))
    }

    @Test func cancelledRequestsAreForgottenAndLateAnswersIgnored() throws {
        var state = readyState(ids: [1, 2])
        let cancelled = state.cancel(id: 2).reply
        #expect(cancelled == 2)
        let frames = try kinds(state.drain())
        #expect(frames == ["request 1"])
        let withdrawn = state.cancel(id: 1)
        #expect(withdrawn.reply == 1)
        #expect(withdrawn.drain)
        let frames2 = try kinds(state.drain())
        #expect(frames2 == ["cancel 1"])
        let cancelled2 = state.cancel(id: 1).reply
        #expect(cancelled2 == nil)
        guard case .none = state.receive(Frame(kind: .response, id: 1), attempt: 1, now: start) else {
            throw Unexpected("a late answer had an effect")
        }
    }

    @Test func aSilentPeerIsPingedAndThenGivenUp() throws {
        var state = readyState(ids: [1])
        _ = state.drain()
        let ping = state.wake(now: start + .seconds(2))
        #expect(ping.drain)
        #expect(ping.close == nil)
        #expect(ping.alarm == start + .seconds(6))
        let frames = try kinds(state.drain())
        #expect(frames == ["ping 0"])
        let wake = state.wake(now: start + .seconds(6)).close
        #expect(wake != nil)
    }

    @Test func aPeerThatAnswersPingsIsKept() throws {
        var state = readyState(ids: [1])
        _ = state.drain()
        _ = state.wake(now: start + .seconds(2))
        _ = state.receive(Frame(kind: .pong), attempt: 1, now: start + .seconds(3))
        let actions = state.wake(now: start + .seconds(6))
        #expect(actions.close == nil)
        #expect(actions.expired.isEmpty)
    }

    @Test func moreRequestsThanTheBoundAreRefused() throws {
        var state = readyState(ids: Array(1...UInt64(RPCLimits.pendingRequests)))
        let id = UInt64(RPCLimits.pendingRequests) + 1
        let action = state.submit(id: id, bytes: bytes(id), deadline: start + .seconds(1), now: start, reply: 0).action
        guard case .fail(.overloaded) = action else { throw Unexpected("\(action)") }
    }

    @Test func aServerThatIsAnotherNodeIsLeft() throws {
        var state = makeState()
        _ = state.submit(id: 1, bytes: bytes(1), deadline: start + .seconds(9), now: start, reply: 1)
        let other = Welcome(server: NodeIdentity(cluster: "c", node: NodeID(3)))
        let frame = Frame(kind: .welcome, body: ByteBuffer(bytes: other.encoded()))
        guard case .close = state.receive(frame, attempt: 1, now: start) else { throw Unexpected("accepted") }
    }
}

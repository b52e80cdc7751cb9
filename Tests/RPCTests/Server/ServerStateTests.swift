import DataModel
import NIOCore
import RPC
import Testing

@Suite struct ServerStateTests {
    private let start = ContinuousClock.now
    private let server = NodeIdentity(cluster: "c", node: NodeID(2))

    private func hello(
        version: UInt16 = protocolVersion, cluster: String = "c", expectedNode: UInt32 = 2
    ) -> Frame {
        let client = NodeIdentity(cluster: cluster, node: NodeID(1))
        let hello = Hello(version: version, client: client, expectedNode: NodeID(expectedNode))
        return Frame(kind: .hello, body: ByteBuffer(bytes: hello.encoded()))
    }

    private func openState() -> ServerState<Int> {
        var state = ServerState<Int>(server: server)
        _ = state.receive(hello(), now: start)
        _ = state.drain()
        return state
    }

    private func request(_ id: UInt64, bytes: Int = 0, micros: UInt32 = 1_000_000) -> Frame {
        Frame(
            kind: .request, method: 1, remainingMicroseconds: micros, id: id,
            body: ByteBuffer(repeating: 0, count: bytes))
    }

    @Test(arguments: [Frame.Kind.request, .cancel, .ping, .response, .welcome])
    func theFirstFrameMustBeAGreeting(kind: Frame.Kind) throws {
        var state = ServerState<Int>(server: server)
        guard case .close = state.receive(Frame(kind: kind), now: start) else { throw Unexpected("accepted") }
    }

    @Test func greetingsOfStrangersAreRefusedWithTheReason() {
        let cases: [(frame: Frame, word: String)] = [
            (hello(version: protocolVersion + 1), "protocol version"), (hello(cluster: "d"), "cluster c"),
            (hello(expectedNode: 3), "node 2"),
        ]
        for (frame, word) in cases {
            var state = ServerState<Int>(server: server)
            guard case .refuse(_, let reason) = state.receive(frame, now: start) else {
                Issue.record("accepted: \(word)")
                continue
            }
            #expect(reason.contains(word))
            guard case .none = state.receive(request(1), now: start) else {
                Issue.record("a request after the refusal had an effect")
                continue
            }
        }
    }

    @Test func anIDMayNotBeUsedTwiceAtATime() throws {
        var state = openState()
        _ = state.receive(request(1), now: start)
        guard case .close = state.receive(request(1), now: start) else { throw Unexpected("accepted") }
    }

    @Test func answersOfCancelledRequestsAreNotSent() throws {
        var state = openState()
        _ = state.receive(request(1), now: start)
        state.attach(41, id: 1)
        guard case .cancel(41) = state.receive(Frame(kind: .cancel, id: 1), now: start) else {
            throw Unexpected("the work was not cancelled")
        }
        let asksForDrain = state.finish(id: 1, answer: ByteBuffer())
        #expect(!asksForDrain)
        let frames = state.drain().frames.isEmpty
        #expect(frames)
        #expect(state.inFlightCount == 0)
    }

    @Test func workIsCancelledAtItsDeadline() {
        var state = openState()
        for (id, micros) in [(1, 300_000), (2, 100_000)] as [(UInt64, UInt32)] {
            _ = state.receive(request(id, micros: micros), now: start)
            state.attach(Int(id), id: id)
        }
        let first = state.wake(now: start + .milliseconds(100))
        #expect(first.expired == [2])
        #expect(first.alarm == start + .milliseconds(300))
        let wake = state.wake(now: start + .milliseconds(300)).expired
        #expect(wake == [1])
    }

    @Test func readsAreHeldWhileThereIsNoRoomAndGoOnAfterwards() {
        var state = openState()
        let half = RPCLimits.inFlightBytes / 2
        _ = state.receive(request(1, bytes: half), now: start)
        let mayRead = state.mayRead()
        #expect(mayRead)
        _ = state.receive(request(2, bytes: half), now: start)
        let mayRead2 = state.mayRead()
        #expect(!mayRead2)
        let asksForDrain = state.finish(id: 1, answer: ByteBuffer())
        #expect(asksForDrain)
        let frames = state.drain().read
        #expect(frames)
        let mayRead3 = state.mayRead()
        #expect(mayRead3)
    }

    @Test func readsAreHeldWhileTheClientDoesNotTakeItsAnswers() {
        var state = openState()
        let readsAgain = state.writabilityChanged(to: false)
        #expect(!readsAgain)
        let mayRead = state.mayRead()
        #expect(!mayRead)
        let readsAgain2 = state.writabilityChanged(to: true)
        #expect(readsAgain2)
        let mayRead2 = state.mayRead()
        #expect(mayRead2)
    }

    @Test func allWorkIsCancelledWhenTheConnectionCloses() {
        var state = openState()
        for id in 1...3 as ClosedRange<UInt64> {
            _ = state.receive(request(id), now: start)
            state.attach(Int(id), id: id)
        }
        let failed = Set(state.closed())
        #expect(failed == [1, 2, 3])
        let asksForDrain = state.finish(id: 1, answer: ByteBuffer())
        #expect(!asksForDrain)
    }

    @Test func aServerThatStopsRefusesNewRequests() throws {
        var state = openState()
        state.startDraining()
        guard case .drain = state.receive(request(9), now: start) else { throw Unexpected("not answered") }
        let frames = state.drain().frames
        let frame = try Frame(wholeFrame: try #require(frames.first))
        #expect(frame.kind == .failure)
        #expect(frame.id == 9)
    }
}

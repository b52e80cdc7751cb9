import DataModel
import NIOCore
import NIOPosix
import RPC
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct DeadlineTests {
    /// A replica whose calls wait until they are cancelled, and the number of those.
    private func patientReplica() -> (FakeReplica, cancelled: @Sendable () -> Int) {
        let cancelled = Counter()
        let replica = FakeReplica { (_) throws(ShardError) in
            // Ends early only by cancellation.
            if (try? await Task.sleep(for: .seconds(3_600))) == nil {
                cancelled.value.withLock { $0 += 1 }
                throw .deadlineExceeded
            }
        }
        return (replica, { cancelled.value.withLock { $0 } })
    }

    private final class Counter: Sendable {
        let value = Mutex(0)
    }

    @Test func theDeadlineReachesTheServerAndEndsTheWorkThere() async throws {
        let (replica, cancelled) = patientReplica()
        try await withPeer(replica) { peer, _ in
            var context = RequestContext.soon(.zero)
            // On a busy machine the time may be over before the request has reached the server.
            try await eventually {
                context = RequestContext.soon(.milliseconds(80))
                let error = await failure { () throws(ShardError) in
                    try await peer.shard(FakeHost.id).count(nil, context: context)
                }
                #expect(error == .deadlineExceeded)
                #expect(context.deadline.isPast)
                return replica.seen.withLock { $0.calls } > 0
            }
            try await eventually { cancelled() == replica.seen.withLock { $0.calls } }
            let seen = try #require(replica.seen.withLock { $0.context })
            // The server's clock starts when the request comes, so its deadline cannot be before the client's.
            #expect(seen.deadline >= context.deadline)
        }
    }

    @Test func aCancelledCallerEndsTheWorkOnTheServer() async throws {
        let (replica, cancelled) = patientReplica()
        try await withPeer(replica) { peer, _ in
            let task = Task {
                await failure { () throws(ShardError) in
                    try await peer.shard(FakeHost.id).count(nil, context: .soon(.seconds(600)))
                }
            }
            try await eventually { replica.seen.withLock { $0.calls } == 1 }
            task.cancel()
            #expect(await task.value == .deadlineExceeded)
            try await eventually { cancelled() == 1 }
        }
    }

    @Test func aTaskThatIsCancelledAlreadyDoesNotWait() async throws {
        let (replica, _) = patientReplica()
        try await withPeer(replica) { peer, _ in
            let task = Task {
                while !Task.isCancelled { await Task.yield() }
                return await failure { () throws(ShardError) in
                    try await peer.shard(FakeHost.id).count(nil, context: .soon(.seconds(600)))
                }
            }
            task.cancel()
            #expect(await task.value == .deadlineExceeded)
        }
    }

    @Test func aBrokenConnectionEndsTheWorkOnTheServer() async throws {
        let (replica, cancelled) = patientReplica()
        let server = makeServer(replica)
        let port = try await server.start(host: "127.0.0.1", port: 0)
        let pool = makePool()
        let peer = pool.peer(node: NodeID(2), host: "127.0.0.1", port: port)
        async let error = failure { () throws(ShardError) in
            try await peer.shard(FakeHost.id).count(nil, context: .soon(.seconds(600)))
        }
        try await eventually { replica.seen.withLock { $0.calls } == 1 }
        pool.shutdown()
        #expect(await error?.unreachableReason != nil)
        try await eventually { cancelled() == 1 }
        await server.stop()
    }

    @Test func aDeadlineThatIsPastIsNotSent() async throws {
        let replica = FakeReplica()
        try await withPeer(replica) { peer, _ in
            let error = await failure { () throws(ShardError) in
                try await peer.shard(FakeHost.id).count(nil, context: .soon(.milliseconds(-1)))
            }
            #expect(error == .deadlineExceeded)
        }
        #expect(replica.seen.withLock { $0.calls } == 0)
    }

    @Test func whoeverAcceptsAndSaysNothingIsUnreachable() async throws {
        let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let pool = makePool()
        let peer = pool.peer(node: NodeID(2), host: "127.0.0.1", port: try #require(silent.localAddress?.port))
        let error = await failure { () throws(ShardError) in
            try await peer.ping(deadline: .after(.seconds(600)))
        }
        #expect(error?.unreachableReason?.contains("greeting") == true)
        // While the connection is made too, the request's own deadline holds.
        let hurried = await failure { () throws(ShardError) in
            try await peer.shard(FakeHost.id).count(nil, context: .soon(.milliseconds(20)))
        }
        #expect(hurried == .deadlineExceeded)
        pool.shutdown()
        try await silent.close()
    }

    @Test func pingsAreAnsweredWhileRequestsWait() async throws {
        let (replica, _) = patientReplica()
        try await withPeer(replica) { peer, _ in
            let task = Task { try await peer.shard(FakeHost.id).count(nil, context: .soon(.seconds(600))) }
            try await peer.ping(deadline: .after(.seconds(30)))
            try await peer.ping(deadline: .after(.seconds(30)))
            task.cancel()
        }
    }
}

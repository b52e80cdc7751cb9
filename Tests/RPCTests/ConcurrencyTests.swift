import DataModel
import RPC
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConcurrencyTests {
    @Test func sixtyFourRequestsInFlightAreAnsweredOutOfOrder() async throws {
        let gates = (0..<64).map { _ in Gate() }
        let arrived = Gate()
        let order = Mutex<[Int]>([])
        let replica = FakeReplica { seen in
            guard case .delete(let ids) = seen.writes.last?.operation, case .number(let number) = ids.first
            else { return }
            if seen.calls == 64 { arrived.open() }
            await gates[Int(number)].wait()
            order.withLock { $0.append(Int(number)) }
            // The next one to be answered is the one before.
            if number > 0 { gates[Int(number) - 1].open() }
        }
        try await withPeer(replica) { peer, _ in
            await withTaskGroup(of: ShardError?.self) { group in
                for number in 0..<64 as Range<UInt64> {
                    group.addTask {
                        await failure { () throws(ShardError) in
                            try await peer.shard(FakeHost.id).write(
                                WriteRequest(.delete([.number(number)])), context: .soon())
                        }
                    }
                }
                await arrived.wait()
                gates[63].open()
                for await error in group { #expect(error == nil) }
            }
        }
        #expect(order.withLock { $0 } == (0..<64).reversed())
    }

    @Test func answersGoToTheirOwnRequests() async throws {
        let replica = EchoReplica()
        let server = RPCServer(
            identity: NodeIdentity(cluster: clusterID, node: NodeID(2)), replicas: replica, logger: quiet)
        let port = try await server.start(host: "127.0.0.1", port: 0)
        let pool = makePool()
        let peer = pool.peer(node: NodeID(2), host: "127.0.0.1", port: port)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<8 as Range<UInt64> {
                group.addTask {
                    for number in 0..<200 as Range<UInt64> {
                        let id = PointID.uuid(high: lane, low: number)
                        let request = ScrollRequest(start: id, limit: 1, withPayload: true, withVectors: .none)
                        let records = try await peer.shard(FakeHost.id).scroll(request, context: .soon())
                        #expect(records.map(\.id) == [id])
                    }
                }
            }
            try await group.waitForAll()
        }
        pool.shutdown()
        await server.stop()
    }

    @Test func pendingRequestsFailAtOnceWhenTheServerGoesAndLaterOnesSucceedWhenItIsBack() async throws {
        let gate = Gate()
        let server = makeServer(FakeReplica { _ in await gate.wait() })
        let port = try await server.start(host: "127.0.0.1", port: 0)
        let pool = makePool()
        let peer = pool.peer(node: NodeID(2), host: "127.0.0.1", port: port)
        await withTaskGroup(of: ShardError?.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    // The deadline is far beyond the test's time limit: only the break can end the wait.
                    await failure { () throws(ShardError) in
                        try await peer.shard(FakeHost.id).count(nil, context: .soon(.seconds(600)))
                    }
                }
            }
            while gate.waitingCount < 20 { await Task.yield() }
            await server.stop(grace: .zero)
            for await error in group { #expect(error?.unreachableReason?.contains("node 2") == true) }
        }
        gate.open()
        let refused = await failure { () throws(ShardError) in
            try await peer.shard(FakeHost.id).count(nil, context: .soon())
        }
        #expect(refused?.unreachableReason != nil)

        let replica = FakeReplica()
        replica.answers.withLock { $0.count = 5 }
        let again = makeServer(replica)
        _ = try await again.start(host: "127.0.0.1", port: port)
        try await eventually { (try? await peer.shard(FakeHost.id).count(nil, context: .soon())) == 5 }
        pool.shutdown()
        await again.stop()
    }

    @Test func aNodeThatMovedIsReachedAtItsNewAddress() async throws {
        let (first, second) = (FakeReplica(), FakeReplica())
        first.answers.withLock { $0.count = 1 }
        second.answers.withLock { $0.count = 2 }
        let servers = [makeServer(first), makeServer(second)]
        var ports: [Int] = []
        for server in servers { ports.append(try await server.start(host: "127.0.0.1", port: 0)) }
        let pool = makePool()
        let shard = pool.peer(node: NodeID(2), host: "127.0.0.1", port: ports[0]).shard(FakeHost.id)
        // On a busy machine a greeting may come too late.
        try await eventually { (try? await shard.count(nil, context: .soon())) == 1 }
        _ = pool.peer(node: NodeID(2), host: "127.0.0.1", port: ports[1])
        // The value that was made before follows too.
        try await eventually { (try? await shard.count(nil, context: .soon())) == 2 }
        pool.shutdown()
        let error = await failure { () throws(ShardError) in try await shard.count(nil, context: .soon()) }
        #expect(error?.unreachableReason != nil)
        for server in servers { await server.stop() }
    }

    @Test func aServerThatStopsAnswersWhatIsInFlight() async throws {
        let gate = Gate()
        let replica = FakeReplica { _ in await gate.wait() }
        replica.answers.withLock { $0.count = 9 }
        let server = makeServer(replica)
        let port = try await server.start(host: "127.0.0.1", port: 0)
        let pool = makePool()
        let shard = pool.peer(node: NodeID(2), host: "127.0.0.1", port: port).shard(FakeHost.id)
        async let count = shard.count(nil, context: .soon())
        while gate.waitingCount < 1 { await Task.yield() }
        async let stopped: Void = server.stop(grace: .seconds(30))
        // New requests are refused, so that clients go elsewhere, while the old one is finished.
        try await eventually {
            let error = await failure { () throws(ShardError) in
                try await shard.status(deadline: .after(.milliseconds(50)))
            }
            return switch error {
            case .notServing, .unreachable: true
            default: false
            }
        }
        gate.open()
        #expect(try await count == 9)
        await stopped
        pool.shutdown()
    }
}

/// Answers a scroll with a record whose id is the start.
private struct EchoReplica: ReplicaHost {
    func shard(_ id: ShardID) async throws(ShardError) -> any ShardService {
        EchoShard()
    }

    func replica(_ id: ShardID) async throws(ShardError) -> any ReplicaService { throw .notHosted(id) }

    private struct EchoShard: ShardService {
        func search(_: [SearchRequest], context: RequestContext) async throws(ShardError) -> [SearchAnswer] { [] }
        func retrieve(_: RetrieveRequest, context: RequestContext) async throws(ShardError) -> [Record] { [] }
        func scroll(_ request: ScrollRequest, context: RequestContext) async throws(ShardError) -> [Record] {
            await Task.yield()
            return request.start.map { [Record(id: $0, version: .zero, payload: .empty, vectors: nil)] } ?? []
        }
        func count(_ filter: Filter?, context: RequestContext) async throws(ShardError) -> UInt64 { 0 }
        func write(_: WriteRequest, context: RequestContext) async throws(ShardError) -> WriteReceipt {
            WriteReceipt(sequence: .zero)
        }
        func status(deadline: Deadline) async throws(ShardError) -> ReplicaStatus {
            ReplicaStatus(position: .start, points: 0, indexedRows: 0, unindexedRows: 0, diskBytes: 0)
        }
    }
}

import DataModel
import NIOCore
import RPC
import Synchronization
import Testing

/// Strangers, wrong peers and damaged bytes: the connection goes, the server stays.
@Suite(.serialized, .timeLimit(.minutes(1))) struct HostilityTests {
    private func greeting(
        version: UInt16 = protocolVersion, cluster: String = clusterID, node: UInt32 = 2
    ) -> ByteBuffer {
        let client = NodeIdentity(cluster: cluster, node: NodeID(1))
        let hello = Hello(version: version, client: client, expectedNode: NodeID(node))
        return Frame(kind: .hello, body: ByteBuffer(bytes: hello.encoded())).encoded()
    }

    @Test func aNodeOfAnotherClusterIsRefused() async throws {
        let server = makeServer(FakeReplica())
        let port = try await server.start(host: "127.0.0.1", port: 0)
        let pool = makePool(cluster: "cluster-b")
        let error = await failure { () throws(ShardError) in
            try await pool.peer(node: NodeID(2), host: "127.0.0.1", port: port).ping(deadline: .after(.seconds(20)))
        }
        let reason = try #require(error?.unreachableReason)
        #expect(reason.contains("belongs to cluster cluster-a, not cluster-b"))
        pool.shutdown()
        await server.stop()
    }

    @Test func anAddressOfAnotherNodeIsRefused() async throws {
        let server = makeServer(FakeReplica(), node: NodeID(3))
        let port = try await server.start(host: "127.0.0.1", port: 0)
        let pool = makePool()
        let error = await failure { () throws(ShardError) in
            try await pool.peer(node: NodeID(2), host: "127.0.0.1", port: port).ping(deadline: .after(.seconds(20)))
        }
        let reason = try #require(error?.unreachableReason)
        #expect(reason.contains("it is node 3, not 2"))
        pool.shutdown()
        await server.stop()
    }

    @Test func anotherVersionIsRefusedWithTheReason() async throws {
        try await withPeer(FakeReplica()) { _, port in
            let socket = try await RawSocket.connect(port: port)
            socket.send(greeting(version: protocolVersion + 1))
            try await eventually { socket.isClosed }
            let frame = try #require(try socket.frames().first)
            #expect(frame.kind == .refusal)
            #expect(String(buffer: frame.body).contains("protocol version"))
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func randomBytesCloseTheirConnectionAndNothingElse(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        try await withPeer(FakeReplica()) { peer, port in
            let socket = try await RawSocket.connect(port: port)
            let isIntroduced = random.bool()
            if isIntroduced { socket.send(greeting()) }
            // A first length that no frame has: random ones may announce a frame that never comes.
            socket.send(ByteBuffer(integer: random.bool() ? UInt32.max : 3, endianness: .little))
            socket.send(ByteBuffer(bytes: random.bytes(random.int(1...4_000))))
            try await eventually { socket.isClosed }
            try await peer.ping(deadline: .after(.seconds(20)))
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func damagedFramesCloseTheirConnectionAndNothingElse(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        try await withPeer(FakeReplica()) { peer, port in
            let socket = try await RawSocket.connect(port: port)
            socket.send(greeting())
            let frame = Frame(kind: .request, method: 1, id: 1, body: ByteBuffer(bytes: random.bytes(200)))
            var bytes = Array(frame.encoded().readableBytesView)
            bytes[random.int(4...bytes.count - 1)] ^= UInt8(1 << random.int(0...7))
            socket.send(ByteBuffer(bytes: bytes))
            try await eventually { socket.isClosed }
            try await peer.ping(deadline: .after(.seconds(20)))
        }
    }

    @Test func truncatedFramesAreDroppedWithTheirConnection() async throws {
        let replica = FakeReplica()
        try await withPeer(replica) { peer, port in
            let frame = Frame(kind: .request, method: 4, id: 1, body: ByteBuffer(repeating: 1, count: 100)).encoded()
            for count in stride(from: 1, to: frame.readableBytes, by: 9) {
                let socket = try await RawSocket.connect(port: port)
                socket.send(greeting())
                socket.send(try #require(frame.getSlice(at: 0, length: count)))
                try await eventually { try !socket.frames().isEmpty }
                await socket.close()
            }
            try await peer.ping(deadline: .after(.seconds(20)))
        }
        #expect(replica.seen.withLock { $0.calls } == 0)
    }

    /// Well-formed frames whose bodies are not: the request fails, the connection goes on.
    @Test(arguments: 0..<20 as Range<UInt64>) func malformedRequestsFailOnTheirOwn(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let replica = FakeReplica()
        try await withPeer(replica) { _, port in
            let socket = try await RawSocket.connect(port: port)
            socket.send(greeting())
            for id in 1...30 as ClosedRange<UInt64> {
                let body = ByteBuffer(bytes: random.bytes(random.int(0...60)))
                let method = UInt8(random.int(0...255))
                socket.send(
                    Frame(
                        kind: .request, method: method, remainingMicroseconds: 10_000_000, id: id, body: body
                    ).encoded())
            }
            try await eventually { try socket.frames().count == 31 }
            let answers = try socket.frames().dropFirst()
            #expect(answers.allSatisfy { $0.kind == .failure })
            #expect(Set(answers.map(\.id)) == Set(1...30))
            #expect(!socket.isClosed)
            await socket.close()
        }
        #expect(replica.seen.withLock { $0.calls } == 0)
    }

    @Test func whoeverSaysNothingIsClosed() async throws {
        try await withPeer(FakeReplica()) { _, port in
            let socket = try await RawSocket.connect(port: port)
            try await eventually { socket.isClosed }
        }
    }

    @Test func aPortInUseIsSaid() async throws {
        try await withPeer(FakeReplica()) { _, port in
            let second = makeServer(FakeReplica())
            await #expect(throws: RPCServerError.addressInUse(host: "127.0.0.1", port: port)) {
                try await second.start(host: "127.0.0.1", port: port)
            }
            // The port may be free later: the server can be started again.
            let freePort = try await second.start(host: "127.0.0.1", port: 0)
            #expect(freePort > 0)
            await second.stop()
        }
    }
}

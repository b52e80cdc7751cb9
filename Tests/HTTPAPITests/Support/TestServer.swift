import Coordinator
import DataModel
import Foundation
import HTTPAPI
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// An answer as it came over the socket.
struct Answer: Sendable {
    var status: Int
    var headers: [String: String]
    var body: String

    /// The body as JSON.
    var json: [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any] ?? [:]
    }

    var result: Any? { json["result"] }

    /// The error's text in the envelope.
    var error: String { (json["status"] as? [String: Any])?["error"] as? String ?? "" }
}

/// The application over a fake database, listening on a free port while `body` runs.
struct TestServer: Sendable {
    let database: FakeDatabase
    let snapshots: FakeSnapshots
    let memory: MemoryBudget
    let port: Int

    static func run(
        memory: MemoryBudget = MemoryBudget(), _ body: @escaping @Sendable (TestServer) async throws -> Void
    ) async throws {
        let (database, snapshots) = (FakeDatabase(), FakeSnapshots())
        let (ports, continuation) = AsyncStream<Int>.makeStream()
        let application = makeApplication(
            database: database, snapshots: snapshots,
            defaults: CollectionDefaults(
                virtualShards: 128, physicalShards: 3, replicationFactor: 2, writeConsistencyFactor: 1),
            metricsText: { "shoal_up 1\n" }, memory: memory, host: "127.0.0.1", port: 0, logger: quietLogger,
            onRunning: { port in continuation.yield(port) })
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [application], logger: quietLogger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            var iterator = ports.makeAsyncIterator()
            guard let port = await iterator.next() else { return }
            let result: Result<Void, any Error>
            let server = TestServer(database: database, snapshots: snapshots, memory: memory, port: port)
            do { result = .success(try await body(server)) } catch { result = .failure(error) }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try result.get()
        }
    }

    private static let quietLogger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()

    /// Sends one request on a connection of its own.
    func send(
        _ method: String, _ path: String, _ body: String? = nil, headers: [String] = ["Content-Type: application/json"]
    ) async throws -> Answer {
        try await send(method, path, bytes: body.map { Array($0.utf8) } ?? [], headers: headers)
    }

    func send(_ method: String, _ path: String, bytes: [UInt8], headers: [String] = []) async throws -> Answer {
        var head =
            "\(method) \(path) HTTP/1.1\r\nHost: shoal\r\nConnection: close\r\nContent-Length: \(bytes.count)\r\n"
        for header in headers { head += header + "\r\n" }
        let text = try await exchange([Array((head + "\r\n").utf8) + bytes])
        return try parse(text)
    }

    /// Writes `pieces` as they are until the server answers, and returns all that it sends until it closes.
    func exchange(_ pieces: some Sequence<[UInt8]> & Sendable) async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            async let received: String = {
                var text = ByteBuffer()
                // A connection that is reset after its answer has answered.
                do { for try await var buffer in inbound { text.writeBuffer(&buffer) } } catch {}
                return String(buffer: text)
            }()
            do { for piece in pieces { try await outbound.write(ByteBuffer(bytes: piece)) } } catch {}
            return await received
        }
    }

    func parse(_ text: String) throws -> Answer {
        let parts = text.components(separatedBy: "\r\n\r\n")
        let lines = parts[0].components(separatedBy: "\r\n")
        let status = lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let pair = line.split(separator: ":", maxSplits: 1)
            if pair.count == 2 { headers[pair[0].lowercased()] = pair[1].trimmingCharacters(in: .whitespaces) }
        }
        return Answer(status: status, headers: headers, body: parts.dropFirst().joined(separator: "\r\n\r\n"))
    }
}

import Coordinator
import DataModel
import Foundation
import Testing

/// What requests in flight may take is bounded, and all of it is given back.
@Suite(.timeLimit(.minutes(1)))
struct MemoryTests {
    private static let path = "/collections/c/points/count"

    private func padded(_ bytes: Int) -> String { "{" + String(repeating: " ", count: bytes - 2) + "}" }

    @Test func aBodyAboveASixteenthOfTheMemoryIsRefusedByName() async throws {
        try await TestServer.run(memory: MemoryBudget(bytes: 1 << 20)) { server in
            try await server.fill()
            #expect(try await server.send("POST", Self.path, padded(1 << 16)).status == 200)
            let answer = try await server.send("POST", Self.path, padded(1 << 16 + 1))
            #expect(answer.status == 413 && answer.error.contains("65536 bytes"))
            #expect(server.memory.taken == 0)
        }
    }

    @Test func whenOthersTakeAllAClientIsToldToComeBack() async throws {
        let memory = MemoryBudget(bytes: 1 << 20)
        try await TestServer.run(memory: memory) { server in
            try await server.fill()
            let others = (0..<4).map { _ in RequestMemory(memory) }
            for other in others { try await other.arrive(memory.largestBody, deadline: .after(.seconds(1))) }
            let refused = try await server.send("POST", Self.path, padded(1 << 15))
            #expect(refused.status == 429 && refused.headers["retry-after"] == "1")
            #expect(refused.error.contains("http.maxMemory"))
            for other in others { other.end() }
            #expect(try await server.send("POST", Self.path, padded(1 << 15)).status == 200)
            #expect(memory.taken == 0)
        }
    }

    @Test func badRequestsAndLargeAnswersGiveBackWhatTheyTook() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let payload = String(repeating: "x", count: 100_000)
            for body in ["{", "[]", #"{"points":[{"id":1,"vector":[1,2,3,4],"payload":{"x":"\#(payload)"}}]}"#] {
                _ = try await server.send("PUT", "/collections/c/points", body)
            }
            let answer = try await server.send("POST", "/collections/c/points", #"{"ids":[1]}"#)
            #expect(answer.status == 200 && answer.body.utf8.count > 100_000)
            _ = try await server.send("POST", "/collections/none/points", #"{"ids":[1]}"#)
            _ = try await server.send("GET", "/nowhere")
            let chunked =
                "POST \(Self.path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            let piece = Array("80000\r\n".utf8) + [UInt8](repeating: UInt8(ascii: " "), count: 0x80000) + Array("\r\n".utf8)
            let text = try await server.exchange(
                [Array(chunked.utf8), piece, piece, Array("2\r\n{}\r\n0\r\n\r\n".utf8)])
            #expect(try server.parse(text).status == 200)
            // The last response's memory is given back when its last byte was written, which the client may see before.
            let deadline = ContinuousClock.now + .seconds(30)
            while server.memory.taken > 0 {
                try #require(ContinuousClock.now < deadline, "\(server.memory.taken) bytes are not given back")
                try await Task.sleep(for: .milliseconds(1))
            }
        }
    }
}

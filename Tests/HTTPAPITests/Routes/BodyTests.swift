import DataModel
import Foundation
import Testing

/// Bodies that are too large, cut off or not JSON at all.
@Suite struct BodyTests {
    private static let head = "PUT /collections/c/points HTTP/1.1\r\nHost: shoal\r\nContent-Type: application/json\r\n"

    /// A head and then a gigabyte in pieces.
    private static func flood(_ framing: String, piece: [UInt8]) -> some Sequence<[UInt8]> & Sendable {
        [Array((head + framing + "\r\n\r\n").utf8)] + [[UInt8]](repeating: piece, count: (1 << 30) / piece.count)
    }

    @Test func aBodyThatIsSaidToBeTooLargeIsRefusedUnread() async throws {
        try await TestServer.run { server in
            let text = try await server.exchange([Array((Self.head + "Content-Length: 1073741824\r\n\r\n").utf8)])
            let answer = try server.parse(text)
            #expect((answer.status, answer.headers["connection"]) == (413, "close"))
            #expect(answer.error == "the body is larger than the limit of \(Limits.bodyBytes) bytes")
        }
    }

    @Test(arguments: ["Content-Length: 1073741824", "Transfer-Encoding: chunked"])
    func aGigabyteIsRefusedWhileItIsSent(framing: String) async throws {
        try await TestServer.run { server in
            var piece = [UInt8](repeating: UInt8(ascii: " "), count: 1 << 16)
            if framing.contains("chunked") { piece = Array("10000\r\n".utf8) + piece + Array("\r\n".utf8) }
            let answer = try server.parse(try await server.exchange(Self.flood(framing, piece: piece)))
            #expect(answer.status == 413)
            #expect(try await server.send("GET", "/healthz").status == 200)
        }
    }

    @Test func aBodyOfAnotherTypeIsRefused() async throws {
        try await TestServer.run { server in
            try await server.fill()
            for (type, status) in [
                ("text/plain", 415), ("application/x-www-form-urlencoded", 415),
                ("application/json; charset=utf-8", 200),
                ("Application/JSON", 200),
            ] {
                let answer = try await server.send(
                    "POST", "/collections/c/points/count", "{}", headers: ["Content-Type: \(type)"])
                #expect(answer.status == status, "\(type)")
            }
            #expect(try await server.send("POST", "/collections/c/points/count", "{}", headers: []).status == 200)
        }
    }

    @Test(arguments: ["Transfer-Encoding: chunked\r\n\r\nzzzz\r\n", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}X"])
    func brokenFramingIsA400(rest: String) async throws {
        try await TestServer.run { server in
            let text = try await server.exchange([Array((Self.head + rest).utf8)])
            #expect(text.hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test func aClientThatAsksBeforeItSendsIsAnswered() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let head =
                "POST /collections/c/points/count HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
            let text = try await server.exchange([Array(head.utf8), Array("{}".utf8)])
            #expect(text.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
        }
    }

    @Test func aConnectionCarriesManyRequests() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let request = "POST /collections/c/points/count HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
            let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            let text = try await server.exchange([Array((request + request + last).utf8)])
            #expect(text.components(separatedBy: "HTTP/1.1 200 OK").count == 4)
        }
    }
}

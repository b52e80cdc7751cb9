import Coordinator
import Foundation
import Synchronization
import Testing

@Suite struct SnapshotRouteTests {
    private static let boundary = "----shoal"

    private func form(_ contents: [UInt8], name: String = "snapshot") -> [UInt8] {
        Array("preamble\r\n--\(Self.boundary)\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nnone\r\n".utf8)
            + Array(
                "--\(Self.boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"; filename=\"a.snapshot\"\r\n"
                    .utf8)
            + Array("Content-Type: application/octet-stream\r\n\r\n".utf8) + contents
            + Array("\r\n--\(Self.boundary)--\r\n".utf8)
    }

    private var formType: String { "Content-Type: multipart/form-data; boundary=\(Self.boundary)" }

    @Test func aSnapshotIsDescribedAsInTheDialect() async throws {
        try await TestServer.run { server in
            let answer = try await server.send("POST", "/collections/pets/snapshots")
            #expect(answer.status == 200)
            let result = try #require(answer.result as? [String: Any])
            #expect(result["name"] as? String == "pets-1.snapshot")
            #expect(result["creation_time"] as? String == "2023-11-14T22:13:20")
            #expect(result["size"] as? UInt64 == 1 << 40)
            #expect(result["checksum"] as? String == "abc")
        }
    }

    @Test func whoDoesNotWaitIsToldThatItWasAccepted() async throws {
        try await TestServer.run { server in
            for (method, path) in [("POST", "snapshots?wait=false"), ("PUT", "snapshots/recover?wait=false")] {
                let answer = try await server.send(
                    method, "/collections/pets/\(path)", method == "PUT" ? #"{"location": "file:///a.snapshot"}"# : nil)
                #expect(answer.status == 202)
                #expect(answer.json["status"] as? String == "accepted")
            }
        }
    }

    @Test func anUploadGivesExactlyTheFormsFile() async throws {
        try await TestServer.run { server in
            // Contents with what looks like the beginning of a boundary.
            var contents = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            contents.replaceSubrange(1_000..<1_004, with: Array("\r\n--".utf8))
            contents += Array("\r\n--\(Self.boundary.dropLast())".utf8)
            let checksum = String(repeating: "aB", count: 32)
            let answer = try await server.send(
                "POST", "/collections/pets/snapshots/upload?priority=snapshot&checksum=\(checksum)",
                bytes: form(contents), headers: [formType])
            #expect(answer.status == 200, "\(answer.body)")
            server.snapshots.state.withLock { state in
                #expect(state.uploaded == contents)
                #expect(state.recoveries.map(\.collection) == ["pets"])
                #expect(state.recoveries.first?.options.checksum == checksum.lowercased())
                #expect(state.recoveries.first?.options.priority == .snapshot)
            }
        }
    }

    @Test func anUploadThatIsNotWholeIsAbandoned() async throws {
        try await TestServer.run { server in
            let whole = form(Array("contents".utf8))
            let bodies = [Array(whole.dropLast(12)), form([1], name: "other"), Array("no form".utf8)]
            for (index, body) in bodies.enumerated() {
                let answer = try await server.send(
                    "POST", "/collections/pets/snapshots/upload", bytes: body, headers: [formType])
                #expect(answer.status == 400, "\(answer.body)")
                #expect(!answer.error.isEmpty)
                #expect(server.snapshots.state.withLock { $0.abandoned } == index + 1)
            }
            #expect(server.snapshots.state.withLock { $0.recoveries.isEmpty })
            let json = try await server.send("POST", "/collections/pets/snapshots/upload", "{}")
            #expect(json.status == 415)
        }
    }

    @Test func mistakesNameTheirFields() async throws {
        try await TestServer.run { server in
            let mistakes: [(String, String)] = [
                ("{}", "location"),
                (#"{"location": 7}"#, "location"),
                (#"{"location": "file:///a", "priority": "mine"}"#, "priority"),
                (#"{"location": "file:///a", "checksum": "abc"}"#, "checksum"),
                (#"{"location": "file:///a", "api_key": "a\r\nb"}"#, "api_key"),
            ]
            for (body, field) in mistakes {
                let answer = try await server.send("PUT", "/collections/pets/snapshots/recover", body)
                #expect(answer.status == 400)
                #expect(answer.error.contains(field), "\(answer.error)")
            }
            for path in ["snapshots/..%2F..%2Fnode.json", "snapshots/%2e%2e", "shards/one/snapshots/a.snapshot"] {
                let answer = try await server.send("GET", "/collections/pets/\(path)")
                #expect(answer.status == 400, "\(path): \(answer.body)")
            }
            let absent = try await server.send("DELETE", "/collections/pets/snapshots/none.snapshot")
            #expect(absent.status == 404)
            #expect(absent.error.contains("none.snapshot"))
            let wait = try await server.send("POST", "/collections/pets/snapshots?wait=perhaps")
            #expect(wait.status == 400)
            #expect(wait.error.contains("wait"))
        }
    }

    @Test func snapshotsOfTheWholeStorageAreRefusedWithAWayOut() async throws {
        try await TestServer.run { server in
            let answer = try await server.send("POST", "/snapshots")
            #expect(answer.status == 400)
            #expect(answer.error.contains("each collection"))
        }
    }
}

import DataModel
import Synchronization
import Testing

@Suite struct PointRouteTests {
    @Test func pointsComeBackAsTheyWereWritten() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let body = #"""
                {"points":[{"id":18446744073709551615,"vector":[0.1,1e-7,16777216,-0.0],
                "payload":{ "text":"ä\"\\\n\u0001", "big":123456789012345678901234567890, "list":[1,null,true] }},
                {"id":"550E8400E29B41D4A716446655440000","vectors":[1,2,3,4],"payload":null}]}
                """#
            let written = try await server.send("PUT", "/collections/c/points?wait=true&ordering=strong", body)
            #expect(written.resultText == #"{"operation_id":2,"status":"completed"}"#)
            #expect(
                try await server.send("GET", "/collections/c/points/18446744073709551615").resultText
                    == #"{"id":18446744073709551615,"payload":{"text":"ä\"\\\n\u0001","big":1.2345678901234568e+29,"list":[1,null,true]},"vector":[0.1,1e-07,16777216.0,-0.0]}"#
            )
            #expect(
                try await server.send("GET", "/collections/c/points/urn:uuid:550e8400-e29b-41d4-a716-446655440000")
                    .resultText
                    == #"{"id":"550e8400-e29b-41d4-a716-446655440000","payload":{},"vector":[1.0,2.0,3.0,4.0]}"#)
            #expect(try await server.send("GET", "/collections/c/points/4711").status == 404)
        }
    }

    @Test func theBatchFormAndNamedVectorsAreRead() async throws {
        try await TestServer.run { server in
            let spaces = #"{"vectors":{"a":{"size":2,"distance":"Dot"},"b":{"size":1,"distance":"Dot"}}}"#
            #expect(try await server.send("PUT", "/collections/n", spaces).status == 200)
            let batch =
                #"{"batch":{"ids":[1,2],"vectors":{"a":[[1,2],[3,4]],"b":[[5],null]},"payloads":[{"x":1},null]}}"#
            #expect(try await server.send("PUT", "/collections/n/points", batch).resultText.contains("acknowledged"))
            #expect(
                try await server.send("POST", "/collections/n/points", #"{"ids":[2,1,9],"with_vector":true}"#)
                    .resultText
                    == #"[{"id":2,"payload":{},"vector":{"a":[3.0,4.0]}},{"id":1,"payload":{"x":1},"vector":{"a":[1.0,2.0],"b":[5.0]}}]"#
            )
            #expect(
                try await server.send(
                    "POST", "/collections/n/points", #"{"ids":[1],"with_vector":["b"],"with_payload":false}"#
                ).resultText
                    == #"[{"id":1,"vector":{"b":[5.0]}}]"#)
            let unknown = try await server.send(
                "PUT", "/collections/n/points", #"{"points":[{"id":1,"vector":{"z":[1]}}]}"#)
            #expect(unknown.status == 400)
            #expect(unknown.error.contains("z"))
        }
    }

    @Test func pointsAreDeletedCountedAndUpdatedInBatches() async throws {
        try await TestServer.run { server in
            try await server.fill()
            #expect(
                try await server.send("POST", "/collections/c/points/delete", #"{"points":[1,2,99]}"#).status == 200)
            #expect(
                try await server.send("POST", "/collections/c/points/count", #"{"exact":true,"filter":null}"#)
                    .resultText == #"{"count":8}"#)
            let updates =
                #"{"operations":[{"delete":{"points":[3]}},{"upsert":{"points":[{"id":1,"vector":[1,1,1,1]}]}}]}"#
            let answer = try await server.send("POST", "/collections/c/points/batch?wait=true", updates)
            #expect(
                answer.resultText
                    == #"[{"operation_id":3,"status":"completed"},{"operation_id":4,"status":"completed"}]"#)
            let refused = try await server.send(
                "POST", "/collections/c/points/batch", #"{"operations":[{"set_payload":{}}]}"#)
            #expect(refused.error == "Wrong input: operations[0].set_payload: not supported")
        }
    }

    @Test func scrollingSeesEveryPointOnce() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let first = try await server.send(
                "POST", "/collections/c/points/scroll", #"{"limit":4,"with_payload":false}"#)
            #expect(first.resultText == #"{"points":[{"id":1},{"id":2},{"id":3},{"id":4}],"next_page_offset":5}"#)
            let last = try await server.send("POST", "/collections/c/points/scroll?replica=2", #"{"offset":5}"#)
            #expect(last.ids == [5, 6, 7, 8, 9, 10])
            #expect(last.resultText.hasSuffix(#""next_page_offset":null}"#))
            #expect(server.database.state.withLock { $0.lastScrollReplica?.rawValue } == 2)
        }
    }

    @Test func aLargeBodyIsParsedLikeASmallOne() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let points = (0..<20_000).map { #"{"id":\#($0),"vector":[\#($0),1,2,3]}"# }.joined(separator: ",")
            #expect(try await server.send("PUT", "/collections/c/points", "{\"points\":[\(points)]}").status == 200)
            #expect(
                try await server.send("POST", "/collections/c/points/count", "{}").resultText == #"{"count":20000}"#)
        }
    }

    @Test func aPayloadBeyondItsLimitIsRefused() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let text = String(repeating: "x", count: 1 << 20)
            let answer = try await server.send(
                "PUT", "/collections/c/points", #"{"points":[{"id":1,"vector":[1,2,3,4],"payload":{"t":"\#(text)"}}]}"#)
            #expect(answer.error == "Wrong input: points[0].payload: 1048584 bytes are more than the limit of 1048576")
        }
    }
}

import Coordinator
import DataModel
import Synchronization
import Testing

/// What a client may say of how a read is done, and what it is told.
@Suite struct ReadOptionsRouteTests {
    private static let reads = [
        ("POST", "/collections/c/points", #"{"ids":[1]}"#), ("POST", "/collections/c/points/scroll", "{}"),
        ("POST", "/collections/c/points/count", "{}"), ("POST", "/collections/c/points/query", #"{"query":[1,2,3,4]}"#),
        ("POST", "/collections/c/points/query", "{}"),
        ("POST", "/collections/c/points/query/batch", #"{"searches":[{"query":[1,2,3,4]},{}]}"#),
        ("POST", "/collections/c/points/search", #"{"vector":[1,2,3,4],"limit":1}"#),
        ("POST", "/collections/c/points/search/batch", #"{"searches":[{"vector":[1,2,3,4],"limit":1}]}"#),
    ]

    @Test(arguments: reads)
    func everyReadTakesAConsistency(method: String, path: String, body: String) async throws {
        try await TestServer.run { server in
            try await server.fill()
            let table: [(String, ReadConsistency)] = [
                ("majority", .majority), ("quorum", .quorum), ("all", .all), ("stale", .stale), ("1", .one),
                ("3", .factor(3)), ("", .one),
            ]
            for (text, consistency) in table {
                let answer = try await server.send(method, "\(path)?consistency=\(text)", body)
                #expect(answer.status == 200)
                #expect(server.database.state.withLock { $0.lastReadOptions?.consistency } == consistency)
                #expect(answer.json["stale"] as? Bool == (consistency == .stale ? true : nil))
                #expect(answer.headers["shoal-stale"] == (consistency == .stale ? "true" : nil))
                #expect(answer.json["partial"] == nil)
            }
            for text in ["0", "-1", "most", "ALL", "1.5"] {
                let answer = try await server.send(method, "\(path)?consistency=\(text)", body)
                #expect(answer.status == 400)
                #expect(answer.error.contains("consistency: `\(text)`") && answer.error.contains("majority"))
            }
        }
    }

    @Test(arguments: reads)
    func aPartialAnswerNamesTheShardsThatAreMissing(method: String, path: String, body: String) async throws {
        try await TestServer.run { server in
            try await server.fill()
            let answer = try await server.send(method, "\(path)?allow_partial=true", body)
            let partial = answer.json["partial"] as? [String: [Int]]
            #expect(answer.status == 200 && partial == ["missing_shards": [1, 4]])
            #expect(answer.headers["shoal-missing-shards"] == "1,4")
            #expect(try await server.send(method, "\(path)?allow_partial=false", body).json["partial"] == nil)
            let bad = try await server.send(method, "\(path)?allow_partial=yes", body)
            #expect(bad.status == 400 && bad.error.contains("allow_partial"))
        }
    }

    @Test func onePointTakesAConsistencyAndIsNeverPartial() async throws {
        try await TestServer.run { server in
            try await server.fill()
            #expect(try await server.send("GET", "/collections/c/points/1?consistency=all").status == 200)
            #expect(server.database.state.withLock { $0.lastReadOptions?.consistency } == .all)
            let stale = try await server.send("GET", "/collections/c/points/1?consistency=stale")
            #expect(stale.json["stale"] as? Bool == true)
            #expect(try await server.send("GET", "/collections/c/points/1?allow_partial=true").status == 400)
        }
    }

    @Test func aReplicaIsNotReadWithAConsistency() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let path = "/collections/c/points/scroll?replica=1"
            #expect(try await server.send("POST", path, "{}").status == 200)
            #expect(try await server.send("POST", path + "&consistency=all", "{}").status == 400)
        }
    }

    @Test func aTimeoutIsNamedInItsError() async throws {
        try await TestServer.run { server in
            try await server.fill()
            server.database.state.withLock { $0.failure = .deadlineExceeded(reason: "shard 3 of collection c") }
            let answer = try await server.send("POST", "/collections/c/points/count?timeout=7", "{}")
            #expect(answer.status == 504)
            #expect(answer.error.contains("shard 3") && answer.error.contains("`timeout` is 7 s"))
        }
    }
}

import Coordinator
import DataModel
import Synchronization
import Testing

@Suite struct ConditionalWriteRouteTests {
    private static let points = "/collections/c/points"

    private static func condition(_ id: UInt64, _ version: UInt64) -> WriteCondition {
        WriteCondition(id: .number(id), version: SequenceNumber(version))
    }

    private func written(
        _ server: TestServer, _ method: String, _ path: String, _ body: String, header: String? = nil
    ) async throws -> WriteRequest {
        let headers = ["Content-Type: application/json"] + (header.map { ["Idempotency-Key: \($0)"] } ?? [])
        let answer = try await server.send(method, Self.points + path, body, headers: headers)
        #expect(answer.status == 200, "\(answer.body)")
        return try #require(server.database.state.withLock { $0.lastWrite })
    }

    @Test func eachFormOfAVersionIsACondition() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let two = { (one: String, two: String, rest: String) in
                #"{"points":[{"id":1,"vector":[1,2,3,4]\#(one)},{"id":2,"vector":[1,2,3,4]\#(two)}]\#(rest)}"#
            }
            let cases: [(method: String, path: String, body: String, conditions: [WriteCondition])] = [
                ("PUT", "", two("", "", ""), []),
                ("PUT", "", two(#","if_version":18446744073709551615"#, "", ""), [Self.condition(1, .max)]),
                ("PUT", "", two("", #","if_version":null"#, ""), [Self.condition(2, 0)]),
                (
                    "PUT", "", two(#","if_version":0"#, "", #","if_version":7"#),
                    [Self.condition(1, 0), Self.condition(2, 7)]
                ),
                ("PUT", "?if_version=3", two("", "", ""), [Self.condition(1, 3), Self.condition(2, 3)]),
                (
                    "PUT", "", #"{"batch":{"ids":[1,2],"vectors":[[1,2,3,4],[1,2,3,4]],"if_versions":[null,5]}}"#,
                    [Self.condition(1, 0), Self.condition(2, 5)]
                ),
                (
                    "POST", "/delete", #"{"points":[1,{"id":2,"if_version":4},{"id":3}],"if_version":9}"#,
                    [Self.condition(1, 9), Self.condition(2, 4), Self.condition(3, 9)]
                ),
                ("POST", "/delete?if_version=2", #"{"points":[8]}"#, [Self.condition(8, 2)]),
                (
                    "POST", "/batch", #"{"operations":[{"delete":{"points":[{"id":5,"if_version":6}]}}]}"#,
                    [Self.condition(5, 6)]
                ),
            ]
            for (method, path, body, conditions) in cases {
                let write = try await written(server, method, path, body)
                #expect(write.conditions == conditions, "\(path) \(body)")
                #expect(write.stamp == nil)
            }
        }
    }

    @Test func aRequestIDComesFromTheBodyTheQueryOrTheHeaderAndMeansTheSame() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let point = #""points":[{"id":1,"vector":[1,2,3,4]}]"#
            let inBody = try await written(server, "PUT", "", #"{\#(point),"request_id":"r-ä"}"#)
            let inQuery = try await written(server, "PUT", "?request_id=r-%C3%A4", "{\(point)}")
            #expect(inBody.stamp != nil && inBody == inQuery)
            let inHeader = try await written(server, "PUT", "", "{\(point)}", header: "r-1")
            #expect(inHeader.stamp == (try await written(server, "PUT", "?request_id=r-1", "{ \(point) }")).stamp)
            let other = try await written(
                server, "PUT", "?request_id=r-1", #"{"points":[{"id":1,"vector":[1,2,3,5]}]}"#)
            #expect(other.stamp?.name == inHeader.stamp?.name && other.stamp?.digest != inHeader.stamp?.digest)
            let conditional = try await written(server, "PUT", "?request_id=r-1&if_version=0", "{\(point)}")
            #expect(conditional.stamp?.digest != inHeader.stamp?.digest)
        }
    }

    @Test func theOperationsOfABatchHaveNamesOfTheirOwn() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let one = #"{"delete":{"points":[1]}}"#
            let single = try await written(server, "POST", "/batch?request_id=b", #"{"operations":[\#(one)]}"#)
            let second = try await written(server, "POST", "/batch?request_id=b", #"{"operations":[\#(one),\#(one)]}"#)
            #expect(single.stamp?.name != second.stamp?.name)
            #expect(single.stamp?.digest == second.stamp?.digest)
        }
    }

    @Test func aConflictNamesThePointAndTheShards() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let conflict = VersionConflict(point: .number(7), expected: SequenceNumber(3), actual: SequenceNumber(5))
            server.database.state.withLock {
                $0.failure = .writeConflict(
                    WriteConflict(
                        refusals: [.init(shard: ShardNumber(2), conflict: conflict)], applied: [ShardNumber(0)]))
            }
            let answer = try await server.send(
                "PUT", Self.points, #"{"points":[{"id":7,"vector":[1,2,3,4],"if_version":3}]}"#)
            #expect(answer.status == 409)
            #expect(answer.error.contains("point 7: version 3 is expected, and it has version 5"))
            #expect(answer.error.contains("nothing was written in shards 2, and all that belongs to shards 0"))
            #expect(
                answer.body.contains(
                    #""conflicts":[{"point":7,"shard":2,"expected":3,"actual":5}],"applied_shards":[0]}"#))
            server.database.state.withLock { $0.failure = .requestIDReused(reason: "the request id was used") }
            let reused = try await server.send("PUT", Self.points, #"{"points":[{"id":7,"vector":[1,2,3,4]}]}"#)
            #expect(reused.status == 422)
        }
    }

    @Test func versionsAreInTheAnswersOfThoseWhoAskForThem() async throws {
        try await TestServer.run { server in
            try await server.fill()
            for (with, expected) in [("true", true), ("false", false)] {
                let answers = [
                    try await server.send("GET", "\(Self.points)/1?with_version=\(with)"),
                    try await server.send("POST", Self.points, #"{"ids":[1],"with_version":\#(with)}"#),
                    try await server.send("POST", "\(Self.points)/scroll", #"{"with_version":\#(with)}"#),
                ]
                for answer in answers {
                    #expect(answer.status == 200)
                    #expect(answer.resultText.contains(#""id":1,"version":3"#) == expected)
                }
            }
        }
    }
}

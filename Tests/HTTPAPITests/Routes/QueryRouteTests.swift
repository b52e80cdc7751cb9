import Coordinator
import DataModel
import Synchronization
import Testing

@Suite struct QueryRouteTests {
    @Test func everyFormOfAQueryFindsTheSame() async throws {
        try await TestServer.run { server in
            try await server.fill()
            for query in ["[1,0,0,0]", #"{"nearest":[1,0,0,0]}"#] {
                let answer = try await server.search(
                    #"{"query":\#(query),"limit":2,"prefetch":[],"filter":null,"using":null}"#)
                #expect(
                    answer.resultText
                        == #"{"points":[{"id":10,"version":3,"score":10.0},{"id":9,"version":3,"score":9.0}]}"#)
            }
            for vector in ["[1,0,0,0]", #"{"name":"","vector":[1,0,0,0]}"#] {
                let answer = try await server.send(
                    "POST", "/collections/c/points/search", #"{"vector":\#(vector),"top":2}"#)
                #expect(answer.ids == [10, 9])
            }
            #expect(try await server.search(#"{"query":10,"limit":2}"#).ids == [9, 8])
            #expect(try await server.search(#"{"query":{"nearest":10},"limit":1,"offset":1}"#).ids == [8])
            #expect(try await server.search(#"{"query":99}"#).status == 404)
            #expect(try await server.search(#"{"limit":3,"offset":2}"#).ids == [3, 4, 5])
        }
    }

    @Test func parametersReachTheDatabase() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let body =
                #"{"query":[1,0,0,0],"limit":7,"offset":2,"score_threshold":4.5,"params":{"hnsw_ef":99,"exact":true,"indexed_only":true},"with_vector":["x"]}"#
            let answer = try await server.search(body)
            #expect(answer.ids == [8, 7, 6, 5])
            let query = try #require(server.database.state.withLock { $0.lastQueries.first })
            #expect((query.limit, query.offset, query.ef, query.exact) == (7, 2, 99, true))
            #expect(query.withVectors == .named(["x"]))
            #expect(!query.withPayload)
        }
    }

    @Test func whatIsSaidOfCodesAndRecallReachesTheDatabase() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let body =
                #"{"query":[1,0,0,0],"filter":{"must":{"key":"n","match":{"value":3}}},"params":{"recall":0.97,"acorn":{"enable":true,"max_selectivity":0.4},"quantization":{"ignore":true,"rescore":false,"oversampling":2.5}}}"#
            #expect(try await server.search(body).status == 200)
            let query = try #require(server.database.state.withLock { $0.lastQueries.first })
            #expect((query.recall, query.ef) == (0.97, nil))
            #expect(query.quantization == QuantizationParameters(ignore: true, rescore: false, oversampling: 2.5))
            #expect(query.filter == Filter(must: [.field(PayloadPath("n"), .any([.integer(3)]))]))
        }
    }

    @Test func aProfileStandsBesideTheResult() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let profile =
                #"{"shard":2,"strategy":"filtered_graph","possible_rows":4,"comparisons":7,"checked_payloads":0,"rescored_rows":0}"#
            let asking = #"{"query":[1,0,0,0],"limit":1,"params":{"profile":true}}"#
            let one = try await server.search(asking)
            #expect(one.ids == [10])
            #expect(one.body.contains(#","profile":[\#(profile)]}"#), "\(one.body)")
            let batch = try await server.send(
                "POST", "/collections/c/points/query/batch", #"{"searches":[{"query":[1,0,0,0],"limit":1},\#(asking)]}"#)
            #expect(batch.body.contains(#","profile":[[],[\#(profile)]]}"#), "\(batch.body)")
            #expect(try await !server.search(#"{"query":[1,0,0,0],"limit":1}"#).body.contains("profile"))
        }
    }

    @Test func batchesAnswerInOrder() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let answer = try await server.send(
                "POST", "/collections/c/points/query/batch",
                #"{"searches":[{"query":[1,0,0,0],"limit":1},{"limit":2,"with_payload":true},{"query":[-1,0,0,0],"limit":1}]}"#
            )
            #expect(
                answer.resultText
                    == #"[{"points":[{"id":10,"version":3,"score":10.0}]},{"points":[{"id":1,"version":3,"score":0.0,"payload":{"n":1}},{"id":2,"version":3,"score":0.0,"payload":{"n":2}}]},{"points":[{"id":1,"version":3,"score":-1.0}]}]"#
            )
            let older = try await server.send(
                "POST", "/collections/c/points/search/batch", #"{"searches":[{"vector":[1,0,0,0],"limit":1}]}"#)
            #expect(older.resultText == #"[[{"id":10,"version":3,"score":10.0}]]"#)
            #expect(
                try await server.send("POST", "/collections/c/points/query/batch", #"{"searches":[]}"#).resultText
                    == "[]")
        }
    }

    @Test func payloadsAreProjectedByTheDialectsRules() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let payload = #"{"a":{"b":1,"c":2},"l":[{"x":1,"y":2},{"y":3}],"d.e":4,"s":"t"}"#
            _ = try await server.send(
                "PUT", "/collections/c/points", #"{"points":[{"id":1,"vector":[9,9,9,9],"payload":\#(payload)}]}"#)
            let cases: [(selector: String, shown: String)] = [
                ("true", payload),
                (#"["a.b"]"#, #"{"a":{"b":1}}"#),
                (#"["a","s"]"#, #"{"a":{"b":1,"c":2},"s":"t"}"#),
                (#"["l[].x"]"#, #"{"l":[{"x":1},{}]}"#),
                (#"["l"]"#, #"{"l":[{"x":1,"y":2},{"y":3}]}"#),
                (#"{"include":["\"d.e\""]}"#, #"{"d.e":4}"#),
                (#"["none"]"#, "{}"),
                (#"{"exclude":["a.b","l[].y","s"]}"#, #"{"a":{"c":2},"l":[{"x":1},{}],"d.e":4}"#),
            ]
            for (selector, shown) in cases {
                let answer = try await server.send(
                    "POST", "/collections/c/points", #"{"ids":[1],"with_payload":\#(selector)}"#)
                #expect(answer.resultText == #"[{"id":1,"payload":\#(shown)}]"#, "\(selector)")
            }
        }
    }
}

import Synchronization
import Testing

/// Every mistake is a 400 that names the field.
@Suite struct MistakeTests {
    struct Mistake: Sendable, CustomTestStringConvertible {
        var method: String
        var path: String
        var body: String
        var error: String
        var testDescription: String { body }
    }

    private static func points(_ body: String, _ error: String) -> Mistake {
        Mistake(method: "PUT", path: "/collections/c/points", body: body, error: error)
    }

    private static func point(_ fields: String, _ error: String) -> Mistake {
        points(#"{"points":[{"id":1,"vector":[1,2,3,4]},{\#(fields)}]}"#, error)
    }

    private static func query(_ body: String, _ error: String) -> Mistake {
        Mistake(method: "POST", path: "/collections/c/points/query", body: body, error: error)
    }

    private static func create(_ body: String, _ error: String) -> Mistake {
        Mistake(method: "PUT", path: "/collections/new", body: body, error: error)
    }

    static let writes = [
        points("", "the body is empty; JSON is expected"),
        points("points please", "`points` is not a JSON value"),
        points("[1,2", "the body is not valid JSON"),
        points("[]", "an object is expected, not an array"),
        points("{}", "points: the field is missing"),
        points(#"{"points":7}"#, "points: an array is expected, not a number"),
        points(#"{"points":[]}"#, "points: the array is empty"),
        points(#"{"points":[],"update_filter":{"must":[]}}"#, "update_filter: not supported"),
        point(#""vector":[1,2,3,4]"#, "points[1].id: the field is missing"),
        point(#""id":2"#, "points[1].vector: the field is missing"),
        point(#""id":-2,"vector":[1]"#, "points[1].id: a point id is an unsigned 64-bit integer or a UUID, not -2"),
        point(#""id":2.5,"vector":[1]"#, "points[1].id: a point id is an unsigned 64-bit integer or a UUID, not 2.5"),
        point(#""id":"x","vector":[1]"#, "points[1].id: a point id is an unsigned 64-bit integer or a UUID, not `x`"),
        point(#""id":2,"vector":[]"#, "points[1].vector: the vector is empty"),
        point(#""id":2,"vector":"a""#, "points[1].vector: an array of numbers is expected, not a string"),
        point(#""id":2,"vector":[1,null]"#, "points[1].vector[1]: a number is expected, not null"),
        point(#""id":2,"vector":[1,2,NaN]"#, "points[1].vector[2]: NaN is not a finite number"),
        point(#""id":2,"vector":{"a":[1,-Infinity]}"#, "points[1].vector.a[1]: -Infinity is not a finite number"),
        point(#""id":2,"vector":[1e400]"#, "points[1].vector[0]: `1e400` is beyond the range of numbers"),
        point(#""id":2,"vector":[1,3.5e38]"#, "points[1].vector[1]: 3.5e+38 is beyond the range of float32"),
        point(#""id":2,"vector":[[1]]"#, "points[1].vector[0]: multivectors are not supported"),
        point(#""id":2,"vector":{"indices":[1],"values":[1]}"#, "points[1].vector: sparse vectors are not supported"),
        point(#""id":2,"vector":[1],"vector":[1]"#, "points[1].vector: the field is given more than once"),
        point(#""id":2,"vector":[1],"payload":[]"#, "points[1].payload: an object is expected, not an array"),
        points(
            #"{"batch":{"ids":[1,2],"vectors":[[1]]}}"#,
            "batch.vectors: an array of 2 vectors is expected, one for each id"),
        points(
            #"{"batch":{"ids":[1],"vectors":{"a":[[1,"x"]]}}}"#, "batch.vectors.a[0][1]: a number is expected, not `x`"),
        points(
            #"{"batch":{"ids":[1],"vectors":[[1]],"payloads":[]}}"#,
            "batch.payloads: an array of 1 is expected, one for each id"),
        points(
            #"{"batch":{"ids":[1],"vectors":[[1]],"payloads":[3]}}"#,
            "batch.payloads[0]: an object is expected, not a number"),
    ]

    static let terms = [
        version("-1", "-1"),
        version("1.5", "1.5"),
        version(#""1""#, "`1`"),
        version("18446744073709551616", "1.8446744073709552e+19"),
        point(
            #""id":2,"vector":[1],"if_version":1,"if_version":1"#,
            "points[1].if_version: the field is given more than once"),
        points(
            #"{"if_version":true,"points":[]}"#,
            "if_version: an unsigned 64-bit integer or null is expected, not a boolean"),
        points(
            #"{"batch":{"ids":[1],"vectors":[[1]],"if_versions":[1,2]}}"#,
            "batch.if_versions: an array of 1 is expected, one for each id"),
        points(
            #"{"batch":{"ids":[1,2],"vectors":[[1],[2]],"if_versions":[1,{}]}}"#,
            "batch.if_versions[1]: an unsigned 64-bit integer or null is expected, not an object"),
        points(
            #"{"request_id":7,"points":[{"id":1,"vector":[1,2,3,4]}]}"#,
            "request_id: a string is expected, not a number"),
        points(
            #"{"request_id":"","points":[{"id":1,"vector":[1,2,3,4]}]}"#,
            "request_id: 0 bytes, where 1 to 64 are allowed"),
        points(
            #"{"request_id":"\#(String(repeating: "ä", count: 33))","points":[{"id":1,"vector":[1,2,3,4]}]}"#,
            "request_id: 66 bytes, where 1 to 64 are allowed"),
        Mistake(
            method: "PUT", path: "/collections/c/points?if_version=x",
            body: #"{"points":[{"id":1,"vector":[1,2,3,4]}]}"#,
            error: "if_version: `x` is not an unsigned 64-bit integer"),
        Mistake(
            method: "PUT", path: "/collections/c/points?if_version=1",
            body: #"{"if_version":1,"points":[{"id":1,"vector":[1,2,3,4]}]}"#,
            error: "if_version: it is given in the query too"),
        Mistake(
            method: "PUT", path: "/collections/c/points?request_id=b",
            body: #"{"request_id":"a","points":[{"id":1,"vector":[1,2,3,4]}]}"#,
            error: "request_id: another request id is given too"),
        delete(#"{"points":[1,{"if_version":1}]}"#, "points[1].id: the field is missing"),
        delete(
            #"{"points":[{"id":1,"if_version":[]}]}"#,
            "points[0].if_version: an unsigned 64-bit integer or null is expected, not an array"),
        delete(#"{"filter":{"must":[]},"if_version":1}"#, "if_version: a filter is given, and not ids"),
        Mistake(
            method: "POST", path: "/collections/c/points/batch?if_version=1", body: #"{"operations":[]}"#,
            error: "if_version: it belongs into the operations"),
        Mistake(
            method: "POST", path: "/collections/c/points/batch",
            body: #"{"operations":[{"delete":{"points":[1],"request_id":"a"}}]}"#,
            error: "operations[0].delete.request_id: one is given for all operations, beside them"),
        Mistake(
            method: "POST", path: "/collections/c/points", body: #"{"ids":[1],"with_version":1}"#,
            error: "with_version: true or false is expected, not a number"),
        Mistake(
            method: "GET", path: "/collections/c/points/1?with_version=yes", body: "",
            error: "with_version: true or false is expected, not `yes`"),
    ]

    private static func version(_ json: String, _ shown: String) -> Mistake {
        point(
            #""id":2,"vector":[1],"if_version":\#(json)"#,
            "points[1].if_version: an unsigned 64-bit integer or null is expected, not \(shown)")
    }

    private static func delete(_ body: String, _ error: String) -> Mistake {
        Mistake(method: "POST", path: "/collections/c/points/delete", body: body, error: error)
    }

    static let queries = [
        query("null", "an object is expected, not null"),
        query(#"{"query":"x"}"#, "query: a point id is an unsigned 64-bit integer or a UUID, not `x`"),
        query(#"{"query":{"fusion":"rrf"}}"#, "query.fusion: this kind of query is not supported"),
        query(#"{"query":{"recommend":{"positive":[1]}}}"#, "query.recommend: this kind of query is not supported"),
        query(#"{"query":{"nearest":[1],"mmr":{"diversity":1}}}"#, "query.mmr: not supported"),
        query(#"{"query":[1],"prefetch":[{}]}"#, "prefetch: not supported"),
        query(#"{"query":[1],"lookup_from":{"collection":"d"}}"#, "lookup_from: not supported"),
        query(#"{"query":[1],"limit":0}"#, "limit: 0 is outside of 1...100000"),
        query(#"{"query":[1],"limit":-1}"#, "limit: a non-negative integer is expected, not -1"),
        query(#"{"query":[1],"limit":"ten"}"#, "limit: a non-negative integer is expected, not `ten`"),
        query(
            #"{"query":[1],"limit":90000,"offset":20000}"#,
            "limit: offset + limit, 110000, is more than the limit of 100000"),
        query(#"{"query":[1],"params":{"hnsw_ef":0}}"#, "params.hnsw_ef: 0 is outside of 1...16384"),
        query(
            #"{"query":[1],"params":{"recall":1}}"#, "params.recall: a number between 0 and 1 is expected, not 1"),
        query(
            #"{"query":[1],"params":{"recall":0.9,"hnsw_ef":9}}"#,
            "params.recall: it takes the place of `hnsw_ef`, which is given too"),
        query(
            #"{"query":[1],"params":{"recall":0.9,"exact":true}}"#,
            "params.recall: an exact search finds all; leave out one of the two"),
        query(
            #"{"query":[1],"params":{"quantization":{"oversampling":0.5}}}"#,
            "params.quantization.oversampling: a number in 1...1000 is expected, not 0.5"),
        query(#"{"query":[1],"params":7}"#, "params: an object is expected, not a number"),
        query(#"{"query":[1],"score_threshold":"x"}"#, "score_threshold: a finite number is expected, not `x`"),
        query(#"{"query":[1],"with_payload":["a..b"]}"#, "with_payload[0]: `a..b` is not a path"),
        query(
            #"{"query":[1],"with_payload":{"include":7}}"#,
            "with_payload.include: an array of paths is expected, not a number"),
        query(#"{"query":[1],"with_vector":[7]}"#, "with_vector[0]: a string is expected, not a number"),
        Mistake(
            method: "POST", path: "/collections/c/points/query/batch", body: #"{"searches":[{},{"query":[true]}]}"#,
            error: "searches[1].query[0]: a number is expected, not a boolean"),
        Mistake(
            method: "POST", path: "/collections/c/points/search", body: #"{"limit":1}"#,
            error: "vector: the field is missing"),
        Mistake(
            method: "POST", path: "/collections/c/points/scroll", body: #"{"order_by":"n"}"#,
            error: "order_by: not supported"),
        Mistake(
            method: "POST", path: "/collections/c/points/delete", body: #"{"filter":{"must":[{"ids":[1]}]}}"#,
            error: "filter.must[0].ids: there is no condition of this name"),
        Mistake(method: "POST", path: "/collections/c/points", body: "{}", error: "ids: the field is missing"),
        Mistake(
            method: "POST", path: "/collections/c/points/count?timeout=soon", body: "{}",
            error: "timeout: `soon` is not a number of seconds in 1...3600"),
        Mistake(
            method: "GET", path: "/collections/c/points/one", body: "",
            error: "id: a point id is an unsigned 64-bit integer or a UUID, not `one`"),
        Mistake(
            method: "POST", path: "/collections/c/cluster", body: #"{"restart_transfer":{}}"#,
            error: "restart_transfer: not supported"),
        Mistake(
            method: "POST", path: "/collections/c/cluster", body: #"{"replicate_shard":{}}"#,
            error: "replicate_shard.shard_id: the field is missing"),
        Mistake(
            method: "POST", path: "/collections/c/cluster", body: #"{"drop_replica":{"shard_id":0}}"#,
            error: "drop_replica.peer_id: the field is missing"),
        Mistake(
            method: "POST", path: "/collections/c/cluster",
            body: #"{"move_shard":{"shard_id":0,"from_peer_id":1,"to_peer_id":2,"method":"resharding_stream_records"}}"#,
            error: "move_shard.method: `resharding_stream_records` is not supported"),
        Mistake(method: "POST", path: "/shoal/operations", body: "{}", error: "kind: the field is missing"),
        Mistake(
            method: "POST", path: "/shoal/operations", body: #"{"kind":"rebalance","by":"colour"}"#,
            error: "by: `colour` is not one of points, bytes, load"),
        Mistake(
            method: "POST", path: "/shoal/operations", body: #"{"kind":"set-replication-factor","collection":"c"}"#,
            error: "factor: the field is missing"),
        Mistake(
            method: "POST", path: "/shoal/operations", body: #"{"kind":"drain","node":1,"maxBytesPerSecond":5}"#,
            error: "maxBytesPerSecond: 5 is outside of 1024...9223372036854775807"),
        Mistake(
            method: "DELETE", path: "/cluster/peer/one", body: "", error: "peer: `one` is not a node's id"),
        Mistake(
            method: "POST", path: "/collections/c/cluster", body: #"{"move_shard":{"shard_id":0}}"#,
            error: "move_shard.from_peer_id: the field is missing"),
    ]

    static let creations = [
        create("{}", "vectors: the field is missing"),
        create(#"{"vectors":{}}"#, "vectors: 0 vectors are outside of 1...64"),
        create(#"{"vectors":{"size":0,"distance":"Dot"}}"#, "vectors.size: 0 is outside of 1...65536"),
        create(#"{"vectors":{"size":4}}"#, "vectors.distance: the field is missing"),
        create(
            #"{"vectors":{"size":4,"distance":"Taxi"}}"#,
            "vectors.distance: `Taxi` is none of Cosine, Dot, Euclid, Manhattan"),
        create(#"{"vectors":{"a":{"distance":"Dot"}}}"#, "vectors.a.size: the field is missing"),
        create(#"{"vectors":{"":{"size":4,"distance":"Dot"}}}"#, "vectors: a name has 1...255 bytes of UTF-8"),
        create(
            #"{"vectors":{"size":4,"distance":"Dot","datatype":"turbo4"}}"#,
            "vectors.datatype: `turbo4` is not supported; float32, float16 and uint8 are"),
        create(
            #"{"vectors":{"size":4,"distance":"Dot","hnsw_config":{"m":1000}}}"#,
            "vectors.hnsw_config.m: 1000 is outside of 4...128"),
        create(
            #"{"vectors":{"size":4,"distance":"Dot","multivector_config":{"comparator":"max_sim"}}}"#,
            "vectors.multivector_config: not supported"),
        create(
            #"{"vectors":{"size":4,"distance":"Dot"},"sparse_vectors":{"s":{}}}"#, "sparse_vectors: not supported"),
        create(
            #"{"vectors":{"size":4,"distance":"Dot"},"quantization_config":{"product":{"compression":"x4"}}}"#,
            "quantization_config.product: not supported; `scalar` and `binary` are"),
        create(
            #"{"vectors":{"a":{"size":4,"distance":"Dot","quantization_config":{"scalar":{"type":"int4"}}}}}"#,
            "vectors.a.quantization_config.scalar.type: `int4` is not supported; int8 is"),
        create(
            #"{"vectors":{"size":4,"distance":"Dot"},"quantization_config":"On"}"#,
            "quantization_config: `On` is not `Disabled`"),
        create(
            #"{"vectors":{"size":4,"distance":"Dot"},"shard_number":200}"#,
            "shard_number: 200 is more than the 128 virtual shards"),
        create(
            #"{"vectors":{"size":4,"distance":"Dot"},"write_consistency_factor":3}"#,
            "write_consistency_factor: 3 is more than the replication factor, 2"),
        create(
            #"{"vectors":{"size":4,"distance":"Dot"},"sharding_method":"custom"}"#,
            "sharding_method: `custom` is not supported"),
    ]

    @Test func everyMistakeIsNamed() async throws {
        try await TestServer.run { server in
            try await server.fill()
            for mistake in Self.writes + Self.terms + Self.queries + Self.creations {
                let answer = try await server.send(mistake.method, mistake.path, mistake.body)
                #expect(answer.status == 400, "\(mistake.body)")
                #expect(answer.error == "Wrong input: \(mistake.error)", "\(mistake.body)")
            }
            let count = server.database.state.withLock { $0.collections["c"]?.points.count }
            #expect(count == 10)
        }
    }

    @Test(arguments: [(#"{"a":"#, "}"), ("[", "]")])
    func nestingBeyondTheLimitIsRefused(opening: String, closing: String) async throws {
        try await TestServer.run { server in
            let deep = String(repeating: opening, count: 100_000)
            let closed = deep + "1" + String(repeating: closing, count: 100_000)
            let answer = try await server.send("PUT", "/collections/c/points", closed)
            #expect(answer.error == "Wrong input: the JSON is nested deeper than 128 levels")
            #expect(try await server.send("PUT", "/collections/c/points", deep).status == 400)
        }
    }

    @Test func textThatIsNotJSONOrNotUnicodeIsRefused() async throws {
        try await TestServer.run { server in
            for bytes in [
                [0xFF, 0xFE], Array(#"{"points":"\#u{0}"}"#.utf8), Array(#"{"a":"\ud800"}"#.utf8),
                Array(#"{"a":"é"}"#.utf8.dropLast(3)),
            ] {
                let answer = try await server.send("PUT", "/collections/c/points", bytes: bytes)
                #expect(answer.status == 400)
                #expect(answer.error.contains("JSON"))
            }
        }
    }

    @Test(arguments: [
        "a%2Fb", "..", "%2e%2e", ".", "a%5Cb", "a%00b", "a%0Ab", "%3Cb%3E", "a%3Ab", "a%7Cb", "a%3Fb", "a*b", "a%22b",
        "a%FFb",
        String(repeating: "x", count: 256),
    ])
    func namesThatAreNoNamesAreRefused(name: String) async throws {
        try await TestServer.run { server in
            let answer = try await server.send(
                "PUT", "/collections/\(name)", #"{"vectors":{"size":4,"distance":"Dot"}}"#)
            #expect(answer.status == 400)
            #expect(server.database.state.withLock { $0.collections.isEmpty })
        }
    }
}

import CSimdJSON
import Testing

/// SplitMix64 (Steele, Lea and Flood, 2014), so that a failure can be replayed.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct FuzzTests {
    static let bodies = [
        #"{"points":[{"id":1,"vector":[1,2.5e3,-3,4],"payload":{"a":{"b":[1,"é\n",null,true]}}},{"id":"00000000-0000-0000-0000-000000000007","vector":{"a":[1,2]}}]}"#,
        #"{"batch":{"ids":[1,2],"vectors":[[1,2,3,4],[0,0,0,1]],"payloads":[{"a":18446744073709551616},null]}}"#,
        #"{"query":{"nearest":[0.1,0.2,0.3,0.4]},"limit":3,"offset":1,"with_payload":{"include":["a[].b"]},"with_vector":["a"],"params":{"hnsw_ef":7}}"#,
        #"{"searches":[{"query":5,"using":"a"},{"vector":{"name":"a","vector":[1,2]}}]}"#,
        #"{"vectors":{"a":{"size":4,"distance":"Dot","hnsw_config":{"m":8}}},"shard_number":2}"#,
    ]
    static let paths = [
        ("PUT", "/collections/c/points"), ("POST", "/collections/c/points/query"),
        ("POST", "/collections/c/points/query/batch"), ("POST", "/collections/c/points/search"),
        ("PUT", "/collections/fuzz"), ("POST", "/collections/c/points/scroll"), ("POST", "/collections/c/points"),
    ]

    static func mutated(using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = Array(bodies.randomElement(using: &generator)?.utf8 ?? "".utf8)
        for _ in 0..<Int.random(in: 0...3, using: &generator) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0...3, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: index)
            case 2:
                bytes.insert(Array(#"{}[],:"0123456789eE-.\ntN"#.utf8).randomElement(using: &generator) ?? 0, at: index)
            default: bytes.removeSubrange(index...)
            }
        }
        return bytes
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func mangledBodiesAreAnsweredAndNeverA500(seed: UInt64) async throws {
        try await TestServer.run { server in
            try await server.fill()
            var generator = SeededGenerator(state: seed)
            for round in 0..<400 {
                let body = Self.mutated(using: &generator)
                let (method, path) = Self.paths[Int.random(in: 0..<Self.paths.count, using: &generator)]
                let answer = try await server.send(method, path, bytes: body)
                #expect(
                    [200, 400, 404, 409].contains(answer.status),
                    "seed \(seed), round \(round): \(String(decoding: body, as: UTF8.self))")
            }
            #expect(try await server.send("GET", "/collections/c/points/5").status == 200)
        }
    }

    @Test func randomBytesNeverHarmTheParser() throws {
        let parser = try #require(shoal_json_parser_make(16))
        defer { shoal_json_parser_free(parser) }
        var generator = SeededGenerator(state: 77)
        var good = 0
        for _ in 0..<20_000 {
            var bytes = Self.mutated(using: &generator)
            if Bool.random(using: &generator) {
                bytes = bytes.map { _ in UInt8.random(in: 0...255, using: &generator) }
            }
            var root = shoal_json_element()
            guard shoal_json_parse(parser, bytes, bytes.count, &root) == SHOAL_JSON_OK else { continue }
            good += 1
            var length = 0
            let minified = try #require(shoal_json_minify(parser, root, &length))
            let copy = Array(UnsafeRawBufferPointer(start: minified, count: length))
            #expect(shoal_json_parse(parser, copy, copy.count, &root) == SHOAL_JSON_OK)
        }
        #expect(good > 1_000)
    }
}

import DataModel
import Synchronization
import Testing

/// The dialect's filters as they reach the database, and every mistake in one by its path.
@Suite struct FilterTests {
    /// A condition under `must`, and how it is understood.
    static let conditions: [(String, FilterCondition)] = [
        (#"{"key":"a","match":{"value":"x"}}"#, field("a", .any([.keyword("x")]))),
        (#"{"key":"a","match":{"value":-3}}"#, field("a", .any([.integer(-3)]))),
        (#"{"key":"a","match":{"value":true},"range":null}"#, field("a", .any([.bool(true)]))),
        (#"{"key":"a.b[].c","match":{"any":["x","y"]}}"#, field("a.b[].c", .any([.keyword("x"), .keyword("y")]))),
        (#"{"key":"a","match":{"any":[]}}"#, field("a", .any([]))),
        (#"{"key":"a","match":{"except":[1,2]}}"#, field("a", .except([.integer(1), .integer(2)]))),
        (#"{"key":"a","match":{"text":"x y"}}"#, field("a", .text("x y"))),
        (#"{"key":"a","match":{"text_any":"x y"}}"#, field("a", .textAny("x y"))),
        (#"{"key":"a","match":{"phrase":"x y"}}"#, field("a", .phrase("x y"))),
        (#"{"key":"a","match":{"prefix":"x"}}"#, field("a", .prefix("x"))),
        (#"{"key":"a","range":{"gt":1,"lte":2.5,"lt":null}}"#, field("a", .range(NumberRange(gt: 1, lte: 2.5)))),
        (
            #"{"key":"a","range":{"gte":"1970-01-01","lt":"1970-01-01T00:00:01.5+01:00"}}"#,
            field("a", .datetimeRange(DatetimeRange(gte: 0, lt: -3_598_500_000)))
        ),
        (#"{"key":"a","values_count":{"gte":2}}"#, field("a", .valuesCount(CountRange(gte: 2)))),
        (#"{"key":"a","is_empty":true}"#, .isEmpty(PayloadPath("a"))),
        (#"{"key":"a","is_null":false}"#, .filter(Filter(mustNot: [.isNull(PayloadPath("a"))]))),
        (#"{"is_empty":{"key":"a"}}"#, .isEmpty(PayloadPath("a"))),
        (#"{"is_null":{"key":"a"}}"#, .isNull(PayloadPath("a"))),
        (
            #"{"has_id":[7,"00000000-0000-0000-0000-000000000001"]}"#,
            .hasID([.number(7), .uuid(high: 0, low: 1)])
        ),
        ("{}", .filter(Filter())),
        (#"{"has_vector":""}"#, .hasVector("")),
        (#"{"slice":{"total":4,"index":3}}"#, .slice(IDSlice(total: 4, index: 3))),
        (
            #"{"key":"g","geo_bounding_box":{"top_left":{"lon":1,"lat":2},"bottom_right":{"lon":3,"lat":-4.5}}}"#,
            field("g", .geoBoundingBox(GeoBoundingBox(topLeft: place(1, 2), bottomRight: place(3, -4.5))))
        ),
        (
            #"{"key":"g","geo_radius":{"center":{"lon":1,"lat":2},"radius":10.5}}"#,
            field("g", .geoRadius(GeoRadius(center: place(1, 2), radiusMetres: 10.5)))
        ),
        (
            #"{"key":"g","geo_polygon":{"exterior":{"points":[{"lon":0,"lat":0},{"lon":1,"lat":0},{"lon":1,"lat":1},{"lon":0,"lat":0}]},"interiors":[]}}"#,
            field("g", .geoPolygon(GeoPolygon(exterior: [place(0, 0), place(1, 0), place(1, 1), place(0, 0)])))
        ),
        (
            #"{"nested":{"key":"n","filter":{"must_not":{"is_null":{"key":"a"}}}}}"#,
            .nested(PayloadPath("n"), Filter(mustNot: [.isNull(PayloadPath("a"))]))
        ),
        (
            #"{"should":[{"is_null":{"key":"a"}}],"min_should":{"conditions":[{"has_vector":"v"}],"min_count":1}}"#,
            .filter(
                Filter(
                    should: [.isNull(PayloadPath("a"))],
                    minShould: .init(conditions: [.hasVector("v")], count: 1)))
        ),
    ]

    private static func field(_ path: String, _ test: FieldTest) -> FilterCondition { .field(PayloadPath(path), test) }

    private static func place(_ longitude: Double, _ latitude: Double) -> GeoPoint {
        GeoPoint(longitude: longitude, latitude: latitude)
    }

    @Test func everyConditionIsUnderstood() async throws {
        try await TestServer.run { server in
            try await server.fill()
            for (text, condition) in Self.conditions {
                let answer = try await server.send(
                    "POST", "/collections/c/points/count", #"{"filter":{"must":[\#(text)]}}"#)
                #expect(answer.status == 200, "\(text): \(answer.body)")
                #expect(server.database.state.withLock { $0.lastFilter } == Filter(must: [condition]), "\(text)")
            }
        }
    }

    @Test func filtersReachScrollsAndDeletes() async throws {
        try await TestServer.run { server in
            try await server.fill()
            let body = #"{"filter":{"must":{"has_vector":"v"}}}"#
            for path in ["scroll", "delete", "count"] {
                server.database.state.withLock { $0.lastFilter = nil }
                #expect(try await server.send("POST", "/collections/c/points/\(path)", body).status == 200)
                #expect(server.database.state.withLock { $0.lastFilter } == Filter(must: [.hasVector("v")]))
            }
        }
    }

    /// A filter, the path within it and the problem.
    static let mistakes: [(String, String)] = [
        ("7", ": an object is expected, not a number"),
        (#"{"musst":[]}"#, ".musst: there is no such field"),
        (#"{"must":7}"#, ".must: a condition is an object, not a number"),
        (#"{"must":[{"has_id":[1]},{"has_ids":[1]}]}"#, ".must[1].has_ids: there is no condition of this name"),
        (#"{"must":[{"match":{"value":1}}]}"#, ".must[0].key: the field is missing"),
        (#"{"must":[{"key":"a..b","match":{"value":1}}]}"#, ".must[0].key: `a..b` is not a path"),
        (#"{"must":[{"key":"a"}]}"#, ".must[0]: the condition tests nothing"),
        (#"{"should":{"key":"a","match":{"value":1},"range":{}}}"#, ".should: one test of the field is expected, not 2"),
        (#"{"must":[{"key":"a","mach":{}}]}"#, ".must[0].mach: there is no such field"),
        (
            #"{"must":[{"key":"a","match":{}}]}"#,
            ".must[0].match: one of `value`, `text`, `text_any`, `phrase`, `prefix`, `any` and `except` is expected"
        ),
        (
            #"{"must":[{"key":"a","match":{"value":1.5}}]}"#,
            ".must[0].match.value: a string, a boolean or a 64-bit integer is expected, not 1.5"
        ),
        (#"{"must":[{"key":"a","match":{"text":1}}]}"#, ".must[0].match.text: a string is expected, not a number"),
        (#"{"must":[{"key":"a","match":{"any":"x"}}]}"#, ".must[0].match.any: an array is expected, not a string"),
        (
            #"{"must":[{"key":"a","match":{"except":["x",1]}}]}"#,
            ".must[0].match.except[1]: a string is expected, not 1"
        ),
        (
            #"{"must":[{"is_null":{"key":"a"}},{"is_null":{"key":"a"}},{"key":"a","range":{"gt":true}}]}"#,
            ".must[2].range.gt: a number or a date is expected, not a boolean"
        ),
        (
            #"{"must_not":[{"key":"a","range":{"gt":"2020-13-01"}}]}"#,
            ".must_not[0].range.gt: `2020-13-01` is not a date as RFC 3339 writes it"
        ),
        (
            #"{"must":[{"key":"a","range":{"gt":"2020-01-01","lt":3}}]}"#,
            ".must[0].range.lt: a date is expected as in the other bounds, not a number"
        ),
        (#"{"must":[{"key":"a","range":{"ge":3}}]}"#, ".must[0].range.ge: there is no such field"),
        (
            #"{"must":[{"key":"a","values_count":{"gt":-1}}]}"#,
            ".must[0].values_count.gt: a non-negative integer is expected, not -1"
        ),
        (
            #"{"must":[{"key":"a","is_empty":1}]}"#, ".must[0].is_empty: true or false is expected, not a number"
        ),
        (#"{"must":[{"has_id":["x"]}]}"#, ".must[0].has_id[0]: a point id is an unsigned 64-bit integer or a UUID, not `x`"),
        (#"{"must":[{"has_id":[1],"is_null":{"key":"a"}}]}"#, ".must[0]: `has_id` stands alone in its condition"),
        (#"{"must":[{"has_vector":1}]}"#, ".must[0].has_vector: the name of a vector is expected, not a number"),
        (#"{"must":[{"slice":{"total":2,"index":2}}]}"#, ".must[0].slice.index: 2 is outside of 0...1"),
        (
            #"{"must":[{"key":"a","geo_radius":{"center":{"lon":1,"lat":91},"radius":1}}]}"#,
            ".must[0].geo_radius.center.lat: 91 is outside of -90...90 degrees"
        ),
        (
            #"{"must":[{"key":"a","geo_radius":{"center":{"lon":1,"lat":9},"radius":-1}}]}"#,
            ".must[0].geo_radius.radius: a number of metres that is not negative is expected, not -1"
        ),
        (
            #"{"must":[{"key":"a","geo_bounding_box":{"top_left":{"lon":1,"lat":9}}}]}"#,
            ".must[0].geo_bounding_box.bottom_right: the field is missing"
        ),
        (
            #"{"must":[{"key":"a","geo_polygon":{"exterior":{"points":[{"lon":1,"lat":9}]}}}]}"#,
            ".must[0].geo_polygon.exterior.points: 1 are fewer than the 4 of a ring"
        ),
        (
            #"{"must":[{"key":"a","geo_polygon":{"exterior":{"points":[{"lon":1,"lat":9},{"lon":2,"lat":9},{"lon":2,"lat":8},{"lon":1,"lat":8}]}}}]}"#,
            ".must[0].geo_polygon.exterior.points: the ring is not closed: its last point is not its first"
        ),
        (
            #"{"must":[{"nested":{"key":"a","filter":{"should":[{"has_id":[1]}]}}}]}"#,
            ".must[0].nested.filter.should[0].has_id: inside of `nested` there is no point that it could be about"
        ),
        (#"{"must":[{"nested":{"key":"a"}}]}"#, ".must[0].nested.filter: the field is missing"),
        (#"{"min_should":{"conditions":[]}}"#, ".min_should.min_count: the field is missing"),
        (#"{"min_should":{"conditions":{},"min_count":1}}"#, ".min_should.conditions: an array is expected, not an object"),
        (#"{"min_should":{"conditions":[],"min_count":0}}"#, ".min_should.min_count: 0 is outside of 1...4096"),
    ]

    @Test func everyMistakeInAFilterIsNamedByItsPath() async throws {
        try await TestServer.run { server in
            try await server.fill()
            for (filter, error) in Self.mistakes {
                let answer = try await server.send(
                    "POST", "/collections/c/points/count", #"{"filter":\#(filter)}"#)
                #expect(answer.status == 400, "\(filter)")
                #expect(answer.error == "Wrong input: filter\(error)", "\(filter)")
            }
        }
    }

    @Test func filtersAreBoundedInDepthAndSize() async throws {
        try await TestServer.run { server in
            try await server.fill()
            func refusal(_ filter: String) async throws -> String {
                try await server.send("POST", "/collections/c/points/count", #"{"filter":\#(filter)}"#).error
            }
            let opening = String(repeating: #"{"must":["#, count: 33)
            let deep = try await refusal(opening + String(repeating: "]}", count: 33))
            #expect(deep.hasSuffix("filters are nested deeper than the limit of 32 levels"))
            let condition = #"{"is_null":{"key":"a"}}"#
            let many = Array(repeating: condition, count: 4_097).joined(separator: ",")
            #expect(
                try await refusal(#"{"must":[\#(many)]}"#)
                    == "Wrong input: filter.must[4096]: the filter has more conditions than the limit of 4096")
        }
    }

    static let indexMistakes: [(String, String)] = [
        (#"{"field_schema":"keyword"}"#, "field_name: the field is missing"),
        (#"{"field_name":"a"}"#, "field_schema: the field is missing"),
        (#"{"field_name":"a[","field_schema":"keyword"}"#, "field_name: `a[` is not a path"),
        (
            #"{"field_name":"a","field_schema":"tag"}"#,
            "field_schema: `tag` is none of keyword, integer, float, bool, datetime, uuid, geo, text"
        ),
        (#"{"field_name":"a","field_schema":{}}"#, "field_schema.type: the field is missing"),
        (
            #"{"field_name":"a","field_schema":{"type":"text","tokenizer":"multilingual"}}"#,
            "field_schema.tokenizer: `multilingual` is not supported; word, whitespace and prefix are"
        ),
        (
            #"{"field_name":"a","field_schema":{"type":"text","stemmer":{"type":"snowball"}}}"#,
            "field_schema.stemmer: not supported"
        ),
        (
            #"{"field_name":"a","field_schema":{"type":"text","min_token_len":5,"max_token_len":4}}"#,
            "field_schema.max_token_len: 4 is less than the least, 5"
        ),
        (
            #"{"field_name":"a","field_schema":{"type":"integer","tokenizer":"word"}}"#,
            "field_schema.tokenizer: there is no such field"
        ),
    ]

    @Test func everyMistakeInAnIndexIsNamed() async throws {
        try await TestServer.run { server in
            try await server.fill()
            for (body, error) in Self.indexMistakes {
                let answer = try await server.send("PUT", "/collections/c/index", body)
                #expect((answer.status, answer.error) == (400, "Wrong input: \(error)"), "\(body)")
            }
        }
    }
}

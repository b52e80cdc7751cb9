import CSimdJSON
import Testing

/// The C face of the parser.
@Suite struct SimdJSONTests {
    private func withRoot<R>(
        _ text: String, depth: Int = 16, _ body: (OpaquePointer, shoal_json_element) throws -> R
    ) throws -> R {
        let parser = try #require(shoal_json_parser_make(depth))
        defer { shoal_json_parser_free(parser) }
        var root = shoal_json_element()
        let bytes = Array(text.utf8)
        try #require(shoal_json_parse(parser, bytes, bytes.count, &root) == SHOAL_JSON_OK)
        return try body(parser, root)
    }

    private func floats(_ text: String, capacity: Int) throws -> (shoal_json_floats, [Float]) {
        try withRoot(text) { _, root in
            var result = SHOAL_JSON_FLOATS_OK
            let values = [Float](unsafeUninitializedCapacity: capacity) { buffer, count in
                result = shoal_json_read_floats(root, buffer.baseAddress, capacity, &count)
            }
            return (result, values)
        }
    }

    @Test func numbersOfEveryKindAreReadAsFloats() throws {
        let (result, values) = try floats("[1, -2, 0.1, 1e-3, 18446744073709551615, 3.4e38]", capacity: 6)
        #expect(result == SHOAL_JSON_FLOATS_OK)
        #expect(values == [1, -2, 0.1, 1e-3, 18_446_744_073_709_551_616, 3.4e38])
    }

    @Test func theFirstBadElementIsCounted() throws {
        #expect(try floats("[1, 2, null, 4]", capacity: 4) == (SHOAL_JSON_FLOATS_NOT_A_NUMBER, [1, 2]))
        #expect(try floats("[1, 1e39]", capacity: 2) == (SHOAL_JSON_FLOATS_OUT_OF_RANGE, [1]))
        #expect(try floats("7", capacity: 2) == (SHOAL_JSON_FLOATS_NOT_A_NUMBER, []))
    }

    @Test func noMoreThanTheCapacityIsWritten() throws {
        #expect(try floats("[1, 2, 3]", capacity: 2) == (SHOAL_JSON_FLOATS_OK, [1, 2]))
    }

    @Test func fieldsAreFoundAndDuplicatesTold() throws {
        try withRoot(#"{"a":1,"b":null,"a":2}"#) { _, root in
            var element = shoal_json_element()
            #expect(shoal_json_find(root, "a", 1, &element) == SHOAL_JSON_DUPLICATE)
            #expect(shoal_json_find(root, "b", 1, &element) == SHOAL_JSON_FOUND)
            #expect(shoal_json_type_of(element) == SHOAL_JSON_NULL)
            #expect(shoal_json_find(root, "c", 1, &element) == SHOAL_JSON_ABSENT)
            #expect(shoal_json_count(root) == 3)
        }
    }

    @Test func minifiedTextKeepsValues() throws {
        try withRoot(#"{ "a" : [ 1 , 0.1 , "\u00e9\n\"" , { } ] }"#) { parser, root in
            var length = 0
            let text = try #require(shoal_json_minify(parser, root, &length))
            #expect(
                String(decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self)
                    == #"{"a":[1,0.1,"é\n\"",{}]}"#)
        }
    }

    @Test func depthIsBoundedAlsoAfterTheBuffersGrew() throws {
        let parser = try #require(shoal_json_parser_make(4))
        defer { shoal_json_parser_free(parser) }
        var root = shoal_json_element()
        for padding in [0, 100, 100_000] {
            let spaces = String(repeating: " ", count: padding)
            let shallow = Array((spaces + "[[[1]]]").utf8)
            let deep = Array((spaces + "[[[[[1]]]]]").utf8)
            #expect(shoal_json_parse(parser, shallow, shallow.count, &root) == SHOAL_JSON_OK)
            #expect(shoal_json_parse(parser, deep, deep.count, &root) == SHOAL_JSON_TOO_DEEP)
        }
    }

    @Test(arguments: [
        ("", SHOAL_JSON_EMPTY), ("18446744073709551616", SHOAL_JSON_NUMBER_OUT_OF_RANGE),
        ("1e999", SHOAL_JSON_NUMBER_OUT_OF_RANGE), (#""\x""#, SHOAL_JSON_BAD_STRING), ("{", SHOAL_JSON_MALFORMED),
    ])
    func errorsAreTold(text: String, error: shoal_json_error) throws {
        let parser = try #require(shoal_json_parser_make(16))
        defer { shoal_json_parser_free(parser) }
        var root = shoal_json_element()
        let bytes = Array(text.utf8)
        #expect(shoal_json_parse(parser, bytes, bytes.count, &root) == error)
    }
}

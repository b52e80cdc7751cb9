import CSimdJSON
import Synchronization

/// A simdjson parser with its buffers.
///
/// `@unchecked Sendable`: the pool lends a parser to one synchronous closure at a time.
final class JSONParser: @unchecked Sendable {
    /// Levels of nesting that a body may have; serde_json, which the dialect's server uses, stops there too.
    static let maximumDepth = 128

    private let handle: OpaquePointer

    /// Nil when memory is short.
    init?() {
        guard let handle = shoal_json_parser_make(Self.maximumDepth) else { return nil }
        self.handle = handle
    }

    deinit { shoal_json_parser_free(handle) }

    /// The length of the longest document that fits the buffers.
    var capacity: Int { shoal_json_parser_capacity(handle) }

    /// Parses `bytes` and lends the root to `body`. Elements must not leave the closure.
    ///
    /// - Throws: `DialectError` when `bytes` are not JSON that can be read, and what `body` throws.
    func withDocument<R>(
        _ bytes: UnsafeRawBufferPointer, _ body: (JSONElement) throws(DialectError) -> R
    ) throws(DialectError) -> R {
        var root = shoal_json_element()
        var error = shoal_json_parse(handle, bytes.baseAddress, bytes.count, &root)
        if error == SHOAL_JSON_NUMBER_OUT_OF_RANGE || error == SHOAL_JSON_MALFORMED {
            // Off the hot path: either an error that names the field, or a body with long integers made readable.
            if let readable = try JSONDiagnosis.readable(bytes) {
                error = readable.withUnsafeBytes {
                    shoal_json_parse(handle, $0.baseAddress, $0.count, &root)
                }
            }
        }
        guard error == SHOAL_JSON_OK else { throw Self.dialectError(error) }
        return try body(JSONElement(raw: root, parser: handle))
    }

    private static func dialectError(_ error: shoal_json_error) -> DialectError {
        switch error {
        case SHOAL_JSON_EMPTY: DialectError("", "the body is empty; JSON is expected")
        case SHOAL_JSON_TOO_DEEP: DialectError("", "the JSON is nested deeper than \(maximumDepth) levels")
        case SHOAL_JSON_NUMBER_OUT_OF_RANGE: DialectError("", "the JSON has a malformed number")
        case SHOAL_JSON_BAD_STRING:
            DialectError("", "the JSON has a string with a malformed escape or a control character")
        case SHOAL_JSON_BAD_UTF8: DialectError("", "the JSON is not UTF-8")
        case SHOAL_JSON_OUT_OF_MEMORY: DialectError("", "the JSON is too large to parse")
        default: DialectError("", "the body is not valid JSON")
        }
    }
}

/// Parsers to lend, so that their buffers are reused.
final class JSONParserPool: Sendable {
    /// More parsers than threads that parse are never needed at once.
    static let maximumIdle = 8
    /// A parser that has grown past this is not kept: buffers are about twelve times the longest body.
    static let maximumKeptCapacity = 4 << 20

    private let idle = Mutex<[JSONParser]>([])

    /// Parses `bytes` with a lent parser, see `JSONParser.withDocument`.
    func withDocument<R>(
        _ bytes: UnsafeRawBufferPointer, _ body: (JSONElement) throws(DialectError) -> R
    ) throws(DialectError) -> R {
        guard let parser = idle.withLock({ $0.popLast() }) ?? JSONParser() else {
            throw DialectError("", "the server is short of memory")
        }
        defer {
            if parser.capacity <= Self.maximumKeptCapacity {
                idle.withLock { if $0.count < Self.maximumIdle { $0.append(parser) } }
            }
        }
        return try parser.withDocument(bytes, body)
    }
}

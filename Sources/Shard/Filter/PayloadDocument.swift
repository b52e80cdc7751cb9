internal import CSimdJSON
internal import DataModel

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A value of a parsed payload. Valid only inside the closure that it was lent to.
struct PayloadValue {
    let raw: shoal_json_element

    private var type: shoal_json_type { shoal_json_type_of(raw) }
    var isNull: Bool { type == SHOAL_JSON_NULL }
    var isArray: Bool { type == SHOAL_JSON_ARRAY }
    var isObject: Bool { type == SHOAL_JSON_OBJECT }

    var bool: Bool? { type == SHOAL_JSON_BOOL ? shoal_json_bool(raw) : nil }

    /// A number that was written as an integer of 64 bits; `3.0` is none.
    var integer: Int64? { type == SHOAL_JSON_INT64 ? shoal_json_int64(raw) : nil }

    var number: Double? {
        switch type {
        case SHOAL_JSON_INT64, SHOAL_JSON_UINT64, SHOAL_JSON_DOUBLE: shoal_json_double(raw)
        default: nil
        }
    }

    /// The UTF-8 of a string, where it lies in the document.
    var utf8: UnsafeRawBufferPointer? {
        guard type == SHOAL_JSON_STRING else { return nil }
        var length = 0
        let start = shoal_json_string(raw, &length)
        return UnsafeRawBufferPointer(start: start, count: length)
    }

    var string: String? { utf8.map { String(decoding: $0, as: UTF8.self) } }

    /// Microseconds since 1970 of a string that is a point in time.
    var datetime: Int64? { utf8.flatMap { Datetime.microseconds($0) } }

    /// An object with the numbers `lon` and `lat`.
    var place: GeoPoint? {
        guard isObject, let longitude = self["lon"]?.number, let latitude = self["lat"]?.number else { return nil }
        return GeoPoint(longitude: longitude, latitude: latitude)
    }

    /// Elements of an array.
    var count: Int { shoal_json_count(raw) }

    /// The field of an object; of a key that is there twice, the first.
    subscript(key: String) -> PayloadValue? {
        var key = key
        var element = shoal_json_element()
        let found = key.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) { bytes in
                // The empty key has no address, and is a key like any other.
                withUnsafePointer(to: CChar(0)) { empty in
                    shoal_json_find(raw, bytes.baseAddress ?? empty, bytes.count, &element)
                }
            }
        }
        return found == SHOAL_JSON_ABSENT ? nil : PayloadValue(raw: element)
    }

    /// Calls `body` with each element of an array until it returns false.
    ///
    /// - Returns: whether it went through all of them.
    @discardableResult
    func forEachElement(while body: (PayloadValue) -> Bool) -> Bool {
        guard isArray else { return true }
        var iterator = shoal_json_iterate(raw)
        var element = shoal_json_element()
        while shoal_json_next(&iterator, &element) {
            if !body(PayloadValue(raw: element)) { return false }
        }
        return true
    }

    /// Calls `body` with each element of an array.
    func forEachElement(_ body: (PayloadValue) -> Void) {
        forEachElement { element -> Bool in
            body(element)
            return true
        }
    }
}

/// Parses payloads with buffers that are used again: each thread keeps a parser, so that no search waits for another.
final class PayloadParser {
    private let handle: OpaquePointer

    /// Requests are refused before they get this deep.
    private static let maximumDepth = 256

    private init?() {
        guard let handle = shoal_json_parser_make(Self.maximumDepth) else { return nil }
        self.handle = handle
    }

    deinit { shoal_json_parser_free(handle) }

    /// Of the thread's parser, which the thread's end releases; nil while it is lent.
    private static let idle: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key) { parser in
            if let parser = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: parser)) {
                Unmanaged<PayloadParser>.fromOpaque(parser).release()
            }
        }
        return key
    }()

    private static func take() -> PayloadParser? {
        guard let parser = pthread_getspecific(idle) else { return PayloadParser() }
        pthread_setspecific(idle, nil)
        return Unmanaged<PayloadParser>.fromOpaque(parser).takeRetainedValue()
    }

    private static func put(_ parser: PayloadParser) {
        // Of parsers that were lent inside of each other's closures one is kept.
        guard pthread_getspecific(idle) == nil else { return }
        pthread_setspecific(idle, Unmanaged.passRetained(parser).toOpaque())
    }

    /// Lends the root of the document; nil when the bytes are no JSON.
    static func withDocument<R>(_ json: UnsafeRawBufferPointer, _ body: (PayloadValue) throws -> R) rethrows -> R? {
        guard let parser = take() else { return nil }
        defer { put(parser) }
        var root = shoal_json_element()
        guard shoal_json_parse(parser.handle, json.baseAddress, json.count, &root) == SHOAL_JSON_OK else { return nil }
        return try body(PayloadValue(raw: root))
    }
}

import CSimdJSON
import DataModel

/// A value of a parsed document. Valid only inside the closure that it was lent to.
struct JSONElement {
    let raw: shoal_json_element
    /// The parser that owns the document.
    let parser: OpaquePointer

    var type: shoal_json_type { shoal_json_type_of(raw) }
    var isNull: Bool { type == SHOAL_JSON_NULL }
    var isObject: Bool { type == SHOAL_JSON_OBJECT }
    var isArray: Bool { type == SHOAL_JSON_ARRAY }
    var isString: Bool { type == SHOAL_JSON_STRING }

    /// Elements or fields; 0 for other values.
    var count: Int { shoal_json_count(raw) }

    /// Null, or a container without contents: what a field that is left out means as well.
    var isEmptyValue: Bool { isNull || ((isArray || isObject) && count == 0) }

    /// What a message calls a value of this type.
    var typeName: String {
        switch type {
        case SHOAL_JSON_NULL: "null"
        case SHOAL_JSON_BOOL: "a boolean"
        case SHOAL_JSON_INT64, SHOAL_JSON_UINT64, SHOAL_JSON_DOUBLE: "a number"
        case SHOAL_JSON_STRING: "a string"
        case SHOAL_JSON_ARRAY: "an array"
        default: "an object"
        }
    }

    // MARK: Scalars; nil when the value is of another type

    var boolValue: Bool? { type == SHOAL_JSON_BOOL ? shoal_json_bool(raw) : nil }

    /// A non-negative integer.
    var unsignedValue: UInt64? {
        switch type {
        case SHOAL_JSON_INT64: UInt64(exactly: shoal_json_int64(raw))
        case SHOAL_JSON_UINT64: shoal_json_uint64(raw)
        default: nil
        }
    }

    var doubleValue: Double? {
        switch type {
        case SHOAL_JSON_INT64, SHOAL_JSON_UINT64, SHOAL_JSON_DOUBLE: shoal_json_double(raw)
        default: nil
        }
    }

    var stringValue: String? {
        guard isString else { return nil }
        var length = 0
        let start = shoal_json_string(raw, &length)
        return String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
    }

    /// The value as minified JSON; nil when memory is short.
    var minified: [UInt8]? {
        var length = 0
        guard let start = shoal_json_minify(parser, raw, &length) else { return nil }
        return [UInt8](copying: UnsafeRawBufferPointer(start: start, count: length))
    }

    // MARK: Containers

    /// The elements of an array; empty for other values.
    var elements: JSONElements { JSONElements(iterator: shoal_json_iterate(raw), parser: parser, isArray: isArray) }

    /// The fields of an object; empty for other values.
    var fields: JSONFields { JSONFields(iterator: shoal_json_iterate(raw), parser: parser, isObject: isObject) }

    /// The field of an object, or nil when it is absent or null.
    ///
    /// - Throws: when the object has the field twice.
    /// - Complexity: linear in the number of fields.
    func field(_ name: StaticString) throws(DialectError) -> JSONElement? {
        guard let value = try fieldOrNull(name), !value.isNull else { return nil }
        return value
    }

    /// The same where null is a value like others.
    func fieldOrNull(_ name: StaticString) throws(DialectError) -> JSONElement? {
        var found = shoal_json_element()
        let result = name.withUTF8Buffer { key in
            key.withMemoryRebound(to: CChar.self) { key in
                key.baseAddress.map { shoal_json_find(raw, $0, key.count, &found) } ?? SHOAL_JSON_ABSENT
            }
        }
        switch result {
        case SHOAL_JSON_FOUND:
            return JSONElement(raw: found, parser: parser)
        case SHOAL_JSON_DUPLICATE:
            throw DialectError("\(name)", "the field is given more than once")
        default:
            return nil
        }
    }
}

/// The elements of an array in order.
struct JSONElements: Sequence, IteratorProtocol {
    private var iterator: shoal_json_iterator
    private let parser: OpaquePointer
    private let isArray: Bool

    init(iterator: shoal_json_iterator, parser: OpaquePointer, isArray: Bool) {
        self.iterator = iterator
        self.parser = parser
        self.isArray = isArray
    }

    mutating func next() -> JSONElement? {
        var element = shoal_json_element()
        guard isArray, shoal_json_next(&iterator, &element) else { return nil }
        return JSONElement(raw: element, parser: parser)
    }
}

/// The fields of an object in order.
struct JSONFields: Sequence, IteratorProtocol {
    private var iterator: shoal_json_iterator
    private let parser: OpaquePointer
    private let isObject: Bool

    init(iterator: shoal_json_iterator, parser: OpaquePointer, isObject: Bool) {
        self.iterator = iterator
        self.parser = parser
        self.isObject = isObject
    }

    mutating func next() -> (name: String, value: JSONElement)? {
        var element = shoal_json_element()
        var name: UnsafePointer<CChar>?
        var length = 0
        guard isObject, shoal_json_next_field(&iterator, &name, &length, &element) else { return nil }
        let key = String(decoding: UnsafeRawBufferPointer(start: name, count: length), as: UTF8.self)
        return (key, JSONElement(raw: element, parser: parser))
    }
}

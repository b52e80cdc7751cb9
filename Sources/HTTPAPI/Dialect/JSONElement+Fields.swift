import CSimdJSON

/// Typed access to the fields of a request. Absent and null are the same: nil.
extension JSONElement {
    func requireObject() throws(DialectError) {
        guard isObject else { throw DialectError("", "an object is expected, not \(typeName)") }
    }

    func requireArray() throws(DialectError) {
        guard isArray else { throw DialectError("", "an array is expected, not \(typeName)") }
    }

    /// The field under its name, or under the other name that the dialect takes for it.
    func field(_ name: StaticString, or alias: StaticString) throws(DialectError) -> JSONElement? {
        if let value = try field(name) { return value }
        return try field(alias)
    }

    func requiredField(_ name: StaticString) throws(DialectError) -> JSONElement {
        guard let value = try field(name) else { throw DialectError("\(name)", "the field is missing") }
        return value
    }

    func bool(_ name: StaticString) throws(DialectError) -> Bool? {
        guard let value = try field(name) else { return nil }
        guard let bool = value.boolValue else {
            throw DialectError("\(name)", "true or false is expected, not \(value.typeName)")
        }
        return bool
    }

    func string(_ name: StaticString) throws(DialectError) -> String? {
        guard let value = try field(name) else { return nil }
        guard let string = value.stringValue else {
            throw DialectError("\(name)", "a string is expected, not \(value.typeName)")
        }
        return string
    }

    /// An integer inside `range`.
    func integer(_ name: StaticString, in range: ClosedRange<Int>) throws(DialectError) -> Int? {
        guard let value = try field(name) else { return nil }
        guard let number = value.unsignedValue else {
            throw DialectError("\(name)", "a non-negative integer is expected, not \(value.shown)")
        }
        guard let integer = Int(exactly: number), range.contains(integer) else {
            throw DialectError("\(name)", "\(number) is outside of \(range.lowerBound)...\(range.upperBound)")
        }
        return integer
    }

    /// A number that is finite as float32.
    func float(_ name: StaticString) throws(DialectError) -> Float? {
        guard let value = try field(name) else { return nil }
        guard let number = value.doubleValue, Float(number).isFinite else {
            throw DialectError("\(name)", "a finite number is expected, not \(value.shown)")
        }
        return Float(number)
    }

    /// Refuses fields that would change the meaning of the request and are not supported.
    func refuse(_ names: StaticString...) throws(DialectError) {
        for name in names {
            if let value = try field(name), !value.isEmptyValue {
                throw DialectError("\(name)", "not supported")
            }
        }
    }

    /// A scalar as it can be shown in a message; containers by their type.
    var shown: String {
        switch type {
        case SHOAL_JSON_STRING: quoted(stringValue ?? "")
        case SHOAL_JSON_INT64, SHOAL_JSON_UINT64, SHOAL_JSON_DOUBLE:
            minified.map { String(decoding: $0, as: UTF8.self) } ?? typeName
        default: typeName
        }
    }
}

import CSimdJSON
import DataModel

extension JSONElement {
    /// An array of numbers that are finite as float32.
    ///
    /// - Throws: naming the first element that is not.
    func vector() throws(DialectError) -> [Float] {
        guard isArray else {
            if isObject { try refuseVectorObject() }
            throw DialectError("", "an array of numbers is expected, not \(typeName)")
        }
        let count = count
        guard count <= Limits.dimension.upperBound else {
            throw DialectError("", "\(count) numbers are more than the limit of \(Limits.dimension.upperBound)")
        }
        guard count > 0 else { throw DialectError("", "the vector is empty") }
        var result = SHOAL_JSON_FLOATS_OK
        let values = [Float](unsafeUninitializedCapacity: count) { buffer, written in
            result = shoal_json_read_floats(raw, buffer.baseAddress, count, &written)
        }
        guard result == SHOAL_JSON_FLOATS_OK else { throw badElement(at: values.count, result) }
        return values
    }

    private func badElement(at index: Int, _ result: shoal_json_floats) -> DialectError {
        let element = elements.dropFirst(index).first { _ in true }
        if element?.isArray == true { return DialectError("[\(index)]", "multivectors are not supported") }
        let shown = element?.shown ?? "nothing"
        return result == SHOAL_JSON_FLOATS_OUT_OF_RANGE
            ? DialectError("[\(index)]", "\(shown) is beyond the range of float32")
            : DialectError("[\(index)]", "a number is expected, not \(shown)")
    }

    private func refuseVectorObject() throws(DialectError) {
        if try field("indices") != nil { throw DialectError("", "sparse vectors are not supported") }
        for name: StaticString in ["text", "image", "object", "model"] where try field(name) != nil {
            throw DialectError("\(name)", "inference is not supported")
        }
    }

    /// The vectors of a point: an array for the unnamed space, or an object of arrays by name.
    func namedVectors() throws(DialectError) -> NamedVectors {
        guard isObject else { return NamedVectors(try vector()) }
        var vectors = NamedVectors()
        for (name, value) in fields where !value.isNull {
            if count <= 2, name == "indices" { try refuseVectorObject() }
            guard vectors[name] == nil else { throw DialectError(name, "the vector is given more than once") }
            vectors[name] = try within(name) { () throws(DialectError) in try value.vector() }
        }
        return vectors
    }

    /// A vector to search with, and the space it is of: an array, or `{"name", "vector"}`.
    func searchVector() throws(DialectError) -> (space: String, values: [Float]) {
        guard isObject, let inner = try field("vector") else { return ("", try vector()) }
        let values = try within("vector") { () throws(DialectError) in try inner.vector() }
        return (try string("name") ?? "", values)
    }

    /// `with_vector`: a boolean, or names of spaces.
    func vectorSelector(
        _ name: StaticString = "with_vector", default: VectorSelector = .none
    ) throws(DialectError) -> VectorSelector {
        guard let value = try field(name, or: "with_vectors") else { return `default` }
        if let all = value.boolValue { return all ? .all : .none }
        guard value.isArray else {
            throw DialectError("\(name)", "a boolean or an array of names is expected, not \(value.typeName)")
        }
        return .named(try value.strings(in: name))
    }

    /// The strings of an array that is the field `name`.
    func strings(in name: StaticString) throws(DialectError) -> [String] {
        var strings: [String] = []
        for element in elements {
            guard let string = element.stringValue else {
                throw DialectError("\(name)[\(strings.count)]", "a string is expected, not \(element.typeName)")
            }
            strings.append(string)
        }
        return strings
    }
}

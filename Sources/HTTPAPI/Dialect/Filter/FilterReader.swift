import DataModel

/// Reads the dialect's filters, and counts what is in them on the way.
struct FilterReader {
    private var conditions = 0
    private var depth = 0
    /// Inside `nested`, where conditions are about an object of the payload and not about the point.
    private var isNested = false

    /// The filter under `filter`; nil when there is none.
    static func filter(of request: JSONElement) throws(DialectError) -> Filter? {
        guard let filter = try request.field("filter") else { return nil }
        var reader = FilterReader()
        return try within("filter") { () throws(DialectError) in try reader.filter(filter) }
    }

    private mutating func filter(_ element: JSONElement) throws(DialectError) -> Filter {
        try element.requireObject()
        try element.allow(only: "must", "should", "must_not", "min_should")
        depth += 1
        defer { depth -= 1 }
        guard depth <= Limits.filterDepth else {
            throw DialectError("", "filters are nested deeper than the limit of \(Limits.filterDepth) levels")
        }
        return Filter(
            must: try clause("must", of: element), should: try clause("should", of: element),
            mustNot: try clause("must_not", of: element), minShould: try minShould(of: element))
    }

    /// The conditions under a name: an array, or one alone.
    private mutating func clause(
        _ name: StaticString, of element: JSONElement
    ) throws(DialectError) -> [FilterCondition] {
        guard let value = try element.field(name) else { return [] }
        do {
            return value.isArray ? try list(value) : [try condition(value)]
        } catch {
            throw error.within("\(name)")
        }
    }

    private mutating func list(_ array: JSONElement) throws(DialectError) -> [FilterCondition] {
        var result: [FilterCondition] = []
        for element in array.elements {
            do { result.append(try condition(element)) } catch { throw error.within("[\(result.count)]") }
        }
        return result
    }

    private mutating func minShould(of element: JSONElement) throws(DialectError) -> Filter.MinShould? {
        guard let value = try element.field("min_should") else { return nil }
        do throws(DialectError) {
            try value.requireObject()
            try value.allow(only: "conditions", "min_count")
            let conditions = try value.requiredField("conditions")
            guard conditions.isArray else {
                throw DialectError("conditions", "an array is expected, not \(conditions.typeName)")
            }
            guard let count = try value.integer("min_count", in: 1...Limits.filterConditions) else {
                throw DialectError("min_count", "the field is missing")
            }
            let members = try within("conditions") { () throws(DialectError) in try list(conditions) }
            return Filter.MinShould(conditions: members, count: count)
        } catch {
            throw error.within("min_should")
        }
    }

    // MARK: - Conditions

    private mutating func condition(_ element: JSONElement) throws(DialectError) -> FilterCondition {
        guard element.isObject else {
            throw DialectError("", "a condition is an object, not \(element.typeName)")
        }
        conditions += 1
        guard conditions <= Limits.filterConditions else {
            throw DialectError("", "the filter has more conditions than the limit of \(Limits.filterConditions)")
        }
        if try element.field("key") != nil { return try fieldCondition(element) }
        guard let (name, value) = element.fields.first(where: { !$0.value.isNull }) else {
            // A filter without conditions lets everything pass, here as well.
            return .filter(Filter())
        }
        switch name {
        case "must", "should", "must_not", "min_should": return .filter(try filter(element))
        case "is_empty", "is_null", "has_id", "has_vector", "nested", "slice":
            guard element.fields.allSatisfy({ $0.name == name || $0.value.isNull }) else {
                throw DialectError("", "\(quoted(name)) stands alone in its condition")
            }
            do { return try pointCondition(name, value) } catch { throw error.within(name) }
        case "match", "range", "geo_bounding_box", "geo_radius", "geo_polygon", "values_count":
            throw DialectError("key", "the field is missing")
        default:
            throw DialectError(String(name.prefix(64)), "there is no condition of this name")
        }
    }

    /// A condition that is not about the values of one field.
    private mutating func pointCondition(
        _ name: String, _ value: JSONElement
    ) throws(DialectError) -> FilterCondition {
        switch name {
        case "is_empty": return .isEmpty(try value.payloadField())
        case "is_null": return .isNull(try value.payloadField())
        case "nested": return try nested(value)
        default: break
        }
        guard !isNested else { throw DialectError("", "inside of `nested` there is no point that it could be about") }
        switch name {
        case "has_id": return .hasID(try value.filterIDs())
        case "slice": return .slice(try value.idSlice())
        default:
            guard let space = value.stringValue else {
                throw DialectError("", "the name of a vector is expected, not \(value.typeName)")
            }
            return .hasVector(space)
        }
    }

    private mutating func nested(_ element: JSONElement) throws(DialectError) -> FilterCondition {
        try element.requireObject()
        try element.allow(only: "key", "filter")
        let path = try element.payloadPath("key")
        let inner = try element.requiredField("filter")
        let wasNested = isNested
        isNested = true
        defer { isNested = wasNested }
        do { return .nested(path, try filter(inner)) } catch { throw error.within("filter") }
    }
}

extension JSONElement {
    /// Refuses fields of other names: a misspelt condition would let everything pass.
    func allow(only names: StaticString...) throws(DialectError) {
        for (name, _) in fields where !names.contains(where: { "\($0)" == name }) {
            throw DialectError(String(name.prefix(64)), "there is no such field")
        }
    }

    /// A path into payloads.
    func payloadPath(_ name: StaticString) throws(DialectError) -> PayloadPath {
        guard let text = try string(name) else { throw DialectError("\(name)", "the field is missing") }
        let path = PayloadPath(text)
        guard path.steps != nil else { throw DialectError("\(name)", "\(quoted(text)) is not a path") }
        return path
    }

    /// `{"key": path}`.
    fileprivate func payloadField() throws(DialectError) -> PayloadPath {
        try requireObject()
        try allow(only: "key")
        return try payloadPath("key")
    }

    fileprivate func filterIDs() throws(DialectError) -> [PointID] {
        guard count <= Limits.filterValues else {
            throw DialectError("", "\(count) ids are more than the limit of \(Limits.filterValues)")
        }
        return try pointIDs()
    }

    fileprivate func idSlice() throws(DialectError) -> IDSlice {
        try requireObject()
        try allow(only: "total", "index")
        guard let total = try integer("total", in: 1...Int(UInt32.max)) else {
            throw DialectError("total", "the field is missing")
        }
        guard let index = try integer("index", in: 0...total - 1) else {
            throw DialectError("index", "the field is missing")
        }
        return IDSlice(total: UInt32(total), index: UInt32(index))
    }
}

import CSimdJSON
import DataModel

extension FilterReader {
    /// `{"key": path, test: ...}`, with one test.
    func fieldCondition(_ element: JSONElement) throws(DialectError) -> FilterCondition {
        try element.allow(
            only: "key", "match", "range", "geo_bounding_box", "geo_radius", "geo_polygon", "values_count", "is_empty",
            "is_null")
        let path = try element.payloadPath("key")
        let tests = element.fields.filter { $0.name != "key" && !$0.value.isNull }
        guard let (name, value) = tests.first, tests.count == 1 else {
            throw DialectError(
                "", tests.isEmpty ? "the condition tests nothing" : "one test of the field is expected, not \(tests.count)")
        }
        do {
            switch name {
            case "is_empty": return try value.isYes() ? .isEmpty(path) : .filter(Filter(mustNot: [.isEmpty(path)]))
            case "is_null": return try value.isYes() ? .isNull(path) : .filter(Filter(mustNot: [.isNull(path)]))
            case "match": return .field(path, try value.matchTest())
            case "range": return .field(path, try value.rangeTest())
            case "values_count": return .field(path, .valuesCount(try value.countRange()))
            case "geo_bounding_box": return .field(path, .geoBoundingBox(try value.geoBoundingBox()))
            case "geo_radius": return .field(path, .geoRadius(try value.geoRadius()))
            default: return .field(path, .geoPolygon(try value.geoPolygon()))
            }
        } catch {
            throw error.within(name)
        }
    }
}

extension JSONElement {
    fileprivate func isYes() throws(DialectError) -> Bool {
        guard let bool = boolValue else { throw DialectError("", "true or false is expected, not \(typeName)") }
        return bool
    }

    // MARK: - Match

    fileprivate func matchTest() throws(DialectError) -> FieldTest {
        try requireObject()
        try allow(only: "value", "text", "text_any", "phrase", "prefix", "any", "except")
        let kinds = fields.filter { !$0.value.isNull }
        guard let (name, value) = kinds.first, kinds.count == 1 else {
            throw DialectError(
                "", "one of `value`, `text`, `text_any`, `phrase`, `prefix`, `any` and `except` is expected")
        }
        do {
            switch name {
            case "value": return .any([try value.matchValue()])
            case "any": return .any(try value.matchValues())
            case "except": return .except(try value.matchValues())
            case "text": return .text(try value.text())
            case "text_any": return .textAny(try value.text())
            case "phrase": return .phrase(try value.text())
            default: return .prefix(try value.text())
            }
        } catch {
            throw error.within(name)
        }
    }

    private func text() throws(DialectError) -> String {
        guard let text = stringValue else { throw DialectError("", "a string is expected, not \(typeName)") }
        return text
    }

    private func matchValue() throws(DialectError) -> MatchValue {
        if let text = stringValue { return .keyword(text) }
        if let bool = boolValue { return .bool(bool) }
        if type == SHOAL_JSON_INT64 { return .integer(shoal_json_int64(raw)) }
        throw DialectError("", "a string, a boolean or a 64-bit integer is expected, not \(shown)")
    }

    /// Strings, or integers, but not both.
    private func matchValues() throws(DialectError) -> [MatchValue] {
        try requireArray()
        guard count <= Limits.filterValues else {
            throw DialectError("", "\(count) values are more than the limit of \(Limits.filterValues)")
        }
        var values: [MatchValue] = []
        values.reserveCapacity(count)
        let isText = elements.first { _ in true }?.isString ?? true
        for element in elements {
            guard element.type == (isText ? SHOAL_JSON_STRING : SHOAL_JSON_INT64) else {
                throw DialectError(
                    "[\(values.count)]",
                    "\(isText ? "a string" : "a 64-bit integer") is expected, not \(element.shown)")
            }
            values.append(try element.matchValue())
        }
        return values
    }

    // MARK: - Ranges

    /// Of numbers, or of points in time when the bounds are strings.
    fileprivate func rangeTest() throws(DialectError) -> FieldTest {
        try requireObject()
        try allow(only: "gt", "gte", "lt", "lte")
        if fields.contains(where: { $0.value.isString }) {
            return .datetimeRange(
                DatetimeRange(
                    gt: try datetime("gt"), gte: try datetime("gte"), lt: try datetime("lt"), lte: try datetime("lte")))
        }
        return .range(
            NumberRange(gt: try number("gt"), gte: try number("gte"), lt: try number("lt"), lte: try number("lte")))
    }

    private func number(_ name: StaticString) throws(DialectError) -> Double? {
        guard let value = try field(name) else { return nil }
        guard let number = value.doubleValue else {
            throw DialectError("\(name)", "a number or a date is expected, not \(value.typeName)")
        }
        return number
    }

    private func datetime(_ name: StaticString) throws(DialectError) -> Int64? {
        guard let value = try field(name) else { return nil }
        guard let text = value.stringValue else {
            throw DialectError("\(name)", "a date is expected as in the other bounds, not \(value.typeName)")
        }
        guard let time = Datetime.microseconds(text) else {
            throw DialectError("\(name)", "\(quoted(text)) is not a date as RFC 3339 writes it")
        }
        return time
    }

    fileprivate func countRange() throws(DialectError) -> CountRange {
        try requireObject()
        try allow(only: "gt", "gte", "lt", "lte")
        let range = 0...Int(UInt32.max)
        return CountRange(
            gt: try integer("gt", in: range), gte: try integer("gte", in: range), lt: try integer("lt", in: range),
            lte: try integer("lte", in: range))
    }
}

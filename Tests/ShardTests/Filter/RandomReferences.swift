import DataModel

/// Payloads with everything in every place, and filters that meet them often.
extension SeededGenerator {
    /// In microseconds since 1970.
    static let dates: [String: Int64] = [
        "1970-01-01T00:00:00Z": 0, "1970-01-01": 0, "1970-01-01T00:00:00.000001Z": 1,
        "1969-12-31T23:59:59.9999999Z": -1, "1970-01-02T01:00:00+01:00": 86_400_000_000,
        "2024-02-29 12:30": 1_709_209_800_000_000, "2000-03-01T00:00:00": 951_868_800_000_000,
    ]

    private static let paths = [
        "a", "a[]", "a[1]", "b.c", "b.d", "list", "list[].x", "list[0].y", "list[].z[]", "text", "date", "place", "none",
    ].map { PayloadPath($0) }

    private static let words = ["Fish", "shoal of fish", "a big,fish", "", "of", "red-fish 7", "7"]

    mutating func referencePayload() -> ReferenceValue {
        var fields: [String: ReferenceValue] = [:]
        for name in ["a", "text", "date", "place"] where chance(80) { fields[name] = value(of: name) }
        if chance(70) { fields["b"] = chance(85) ? object(["c", "d"]) : value(of: "a") }
        if chance(80) {
            fields["list"] = .array((0..<int(0..<4)).map { _ in chance(85) ? object(["x", "y", "z"]) : value(of: "a") })
        }
        return .object(fields)
    }

    private mutating func object(_ names: [String]) -> ReferenceValue {
        var fields: [String: ReferenceValue] = [:]
        for name in names where chance(80) { fields[name] = value(of: "a") }
        return .object(fields)
    }

    private mutating func value(of name: String, depth: Int = 2) -> ReferenceValue {
        if depth > 0, chance(25) { return .array((0..<int(0..<4)).map { _ in value(of: name, depth: depth - 1) }) }
        if chance(10) { return .null }
        if chance(85) {
            switch name {
            case "text": return .string(element(Self.words))
            case "date": return .string(element(Self.dates.keys.sorted()))
            case "place": return .object(["lon": .double(degrees(180)), "lat": .double(degrees(90))])
            default: break
            }
        }
        return element([
            .integer(Int64(int(-2..<4))), .double(Double(int(-4..<8)) / 2), .string(element(["x", "y", "é", "7"])),
            .bool(chance(50)), .object([:]),
        ])
    }

    /// Never on the edges of the areas that are asked for, which lie on whole degrees.
    private mutating func degrees(_ bound: Int) -> Double { Double(int(-bound..<bound)) + 0.25 }

    mutating func referenceFilter(depth: Int = 2, isNested: Bool = false) -> Filter {
        var filter = Filter()
        func conditions(_ range: Range<Int>, _ generator: inout SeededGenerator) -> [FilterCondition] {
            (0..<generator.int(range)).map { _ in generator.referenceCondition(depth: depth, isNested: isNested) }
        }
        filter.must = conditions(0..<3, &self)
        if chance(30) { filter.mustNot = conditions(1..<3, &self) }
        if chance(30) { filter.should = conditions(1..<4, &self) }
        if chance(15) { filter.minShould = .init(conditions: conditions(3..<4, &self), count: int(1..<4)) }
        return filter
    }

    private mutating func referenceCondition(depth: Int, isNested: Bool) -> FilterCondition {
        let path = isNested ? PayloadPath(element(["x", "y", "z", "z[]"])) : element(Self.paths)
        switch int(0..<12) {
        case 0: return .isEmpty(path)
        case 1: return .isNull(path)
        case 2 where depth > 0: return .filter(referenceFilter(depth: depth - 1, isNested: isNested))
        case 3 where depth > 0 && !isNested:
            return .nested(PayloadPath("list"), referenceFilter(depth: depth - 1, isNested: true))
        case 4 where !isNested: return .hasID((0..<100).map { _ in .number(UInt64(int(0..<400))) })
        case 5 where !isNested: return .hasVector(chance(80) ? "" : "absent")
        case 6: return .field(PayloadPath(isNested ? "x" : "text"), textTest())
        case 7: return .field(PayloadPath(isNested ? "x" : "place"), geoTest())
        case 8: return .field(PayloadPath(isNested ? "x" : "date"), dateTest())
        default: return .field(path, scalarTest())
        }
    }

    private mutating func scalarTest() -> FieldTest {
        switch int(0..<4) {
        case 0: return .valuesCount(CountRange(gte: int(0..<3), lt: chance(50) ? int(1..<4) : nil))
        case 1:
            let low = Double(int(-2..<3))
            return chance(50) ? .range(NumberRange(gt: low, lte: low + 1.5)) : .range(NumberRange(gte: low))
        default:
            let values: [MatchValue] =
                chance(50)
                ? (0..<int(0..<12)).map { _ in .integer(Int64(int(-2..<4))) }
                : [.keyword(element(["x", "y", "é", "7"])), .bool(chance(50))]
            return chance(60) ? .any(values) : .except(values)
        }
    }

    private mutating func textTest() -> FieldTest {
        let text = element(["fish", "FISH of", "of fish", "big fish", "", "  ", "7", "sho"])
        return element([.text(text), .textAny(text), .phrase(text), .prefix(text)])
    }

    private mutating func dateTest() -> FieldTest {
        let times = Self.dates.values.sorted()
        return .datetimeRange(
            DatetimeRange(gt: chance(50) ? element(times) : nil, lte: chance(50) ? element(times) : nil))
    }

    private mutating func geoTest() -> FieldTest {
        func place(_ generator: inout SeededGenerator) -> GeoPoint {
            GeoPoint(longitude: Double(generator.int(-180..<181)), latitude: Double(generator.int(-90..<91)))
        }
        switch int(0..<3) {
        case 0: return .geoBoundingBox(GeoBoundingBox(topLeft: place(&self), bottomRight: place(&self)))
        case 1:
            return .geoRadius(GeoRadius(center: place(&self), radiusMetres: Double(int(1..<15_000)) * 1_000))
        default:
            func ring(_ half: Double) -> [GeoPoint] {
                [(-half, 0), (0, -half), (half, 0), (0, half), (-half, 0)].map {
                    GeoPoint(longitude: $0.0 * 1.5, latitude: $0.1 / 2.25)
                }
            }
            return .geoPolygon(GeoPolygon(exterior: ring(100), interiors: chance(50) ? [ring(31)] : []))
        }
    }
}

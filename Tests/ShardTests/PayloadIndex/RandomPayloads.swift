import DataModel

/// Payloads and filters that meet each other often, with all kinds of values in all kinds of places.
extension SeededGenerator {
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
    mutating func int(_ range: Range<Int>) -> Int { Int.random(in: range, using: &self) }

    mutating func element<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &self)] }

    private mutating func keyword() -> String {
        chance(5)
            ? String(repeating: "long ", count: 120) + "\(int(0..<4))" : element(["red", "green", "blue", "", "ünï"])
    }

    private mutating func number() -> String {
        switch int(0..<4) {
        case 0: "\(int(-20..<20))"
        case 1: "\(Double(int(-200..<200)) / 10)"
        case 2:
            element(["9007199254740993", "9007199254740992", "-9223372036854775808", "18446744073709551615", "-0.0"])
        default: "\(int(0..<1_000_000))"
        }
    }

    private mutating func date() -> String {
        let (day, hour) = (int(10..<29), int(10..<24))
        return "2024-0\(int(1..<10))-\(day)T\(hour):00:00\(element(["Z", ".250Z", "+02:00"]))"
    }

    private mutating func place() -> (Double, Double) {
        chance(20)
            ? (element([-180, 180, 179.999, -179.999, 0]), element([-90, 90, 0, 89.9]))
            : (Double(int(-1_800..<1_800)) / 10, Double(int(-900..<900)) / 10)
    }

    private mutating func value(of field: String) -> String {
        if chance(8) { return element(["null", "true", "\"other\"", "17", "{}", "[]"]) }
        switch field {
        case "keyword": return "\"\(keyword())\""
        case "uuid": return "\"6f9619ff-8b86-d011-b42d-00cf4fc964f\(int(0..<4))\""
        case "bool": return chance(50) ? "true" : "false"
        case "datetime": return "\"\(date())\""
        case "geo":
            let (longitude, latitude) = place()
            return #"{"lon":\#(longitude),"lat":\#(latitude)}"#
        default: return number()
        }
    }

    static let fields: [(name: String, kind: PayloadIndexConfig.Kind)] = [
        ("keyword", .keyword), ("uuid", .uuid), ("bool", .bool), ("datetime", .datetime), ("geo", .geo),
        ("integer", .integer), ("deep.float", .float),
    ]

    mutating func payload() -> String {
        var members: [String] = []
        for field in Self.fields where chance(75) {
            let name = field.name.split(separator: ".").last.map(String.init) ?? field.name
            let json =
                if chance(25) {
                    "[" + (0..<int(0..<4)).map { _ in value(of: name) }.joined(separator: ",") + "]"
                } else {
                    value(of: name)
                }
            members.append(field.name == name ? #""\#(name)":\#(json)"# : #""deep":{"\#(name)":\#(json)}"#)
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    // MARK: - Filters

    private mutating func test(of kind: PayloadIndexConfig.Kind) -> FieldTest {
        func bound<T>(_ value: T, _ generator: inout SeededGenerator) -> T? { generator.chance(50) ? value : nil }
        switch kind {
        case .keyword, .uuid:
            let values = (0..<int(1..<3)).map { _ -> MatchValue in
                .keyword(kind == .uuid ? "6f9619ff-8b86-d011-b42d-00cf4fc964f\(int(0..<5))" : keyword())
            }
            return chance(50) ? .any(values) : .except(values)
        case .bool: return .any([.bool(chance(50))])
        case .datetime:
            let micros = 1_704_067_200_000_000 + Int64(int(0..<280)) * 86_400_000_000
            return .datetimeRange(
                DatetimeRange(gt: bound(micros, &self), lte: bound(micros + 30 * 86_400_000_000, &self)))
        case .geo:
            let (longitude, latitude) = place()
            let centre = GeoPoint(longitude: longitude, latitude: latitude)
            if chance(40) {
                let other = place()
                let (low, high) = (min(latitude, other.1), max(latitude, other.1))
                return .geoBoundingBox(
                    GeoBoundingBox(
                        topLeft: GeoPoint(longitude: longitude, latitude: high),
                        bottomRight: GeoPoint(longitude: other.0, latitude: low)))
            }
            if chance(30) {
                let ring = [(-40.0, -30.0), (60, -30), (80, 50), (0, 20), (-40, -30)]
                return .geoPolygon(
                    GeoPolygon(exterior: ring.map { GeoPoint(longitude: $0.0, latitude: $0.1) }))
            }
            return .geoRadius(GeoRadius(center: centre, radiusMetres: Double(int(1..<8_000)) * 1_000))
        default:
            if chance(40) {
                return chance(70)
                    ? .any([.integer(Int64(int(-20..<20)))])
                    : element([.any([.integer(9_007_199_254_740_993)]), .except([.integer(3)])])
            }
            let low = Double(int(-20..<20))
            return .range(
                NumberRange(
                    gt: bound(low, &self), gte: bound(low, &self), lt: bound(low + 12.5, &self),
                    lte: bound(low + 300_000, &self)))
        }
    }

    private mutating func condition(depth: Int) -> FilterCondition {
        let field = element(Self.fields)
        let path = PayloadPath(field.name)
        switch int(0..<16) {
        case 0: return .isEmpty(path)
        case 1: return .isNull(path)
        case 2: return .hasID((0..<40).map { _ in .number(UInt64(int(0..<2_000))) })
        case 3 where depth > 0, 4 where depth > 0: return .filter(filter(depth: depth - 1))
        case 5: return .field(PayloadPath("unindexed"), .range(NumberRange(gte: 5)))
        case 6: return .field(path, .valuesCount(CountRange(gte: 2)))
        case 7: return .field(path, test(of: element(Self.fields).kind))
        default: return .field(path, test(of: field.kind))
        }
    }

    mutating func filter(depth: Int = 2) -> Filter {
        var filter = Filter()
        filter.must = (0..<int(0..<3)).map { _ in condition(depth: depth) }
        if chance(30) { filter.mustNot = (0..<int(1..<3)).map { _ in condition(depth: depth) } }
        if chance(30) { filter.should = (0..<int(1..<4)).map { _ in condition(depth: depth) } }
        if chance(15) {
            filter.minShould = .init(conditions: (0..<3).map { _ in condition(depth: depth) }, count: int(1..<4))
        }
        return filter
    }
}

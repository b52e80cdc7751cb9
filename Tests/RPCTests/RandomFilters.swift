import DataModel

/// Filters of every kind, for the codecs; they need not make sense.
extension SeededGenerator {
    mutating func filter(depth: Int = 0) -> Filter {
        Filter(
            must: conditions(depth), should: conditions(depth), mustNot: conditions(depth),
            minShould: bool() ? .init(conditions: conditions(depth), count: int(1...3)) : nil)
    }

    private mutating func conditions(_ depth: Int) -> [FilterCondition] { array(0...2) { $0.condition(depth) } }

    private mutating func condition(_ depth: Int) -> FilterCondition {
        switch int(0...(depth < 3 ? 7 : 5)) {
        case 0: .field(path(), test())
        case 1: .isEmpty(path())
        case 2: .isNull(path())
        case 3: .hasID(array(0...4) { $0.pointID() })
        case 4: .slice(IDSlice(total: UInt32(int(1...9)), index: UInt32(int(0...8))))
        case 5: .hasVector(text())
        case 6: .nested(path(), filter(depth: depth + 1))
        default: .filter(filter(depth: depth + 1))
        }
    }

    private mutating func path() -> PayloadPath { PayloadPath(text()) }

    private mutating func test() -> FieldTest {
        switch int(0...11) {
        case 0: .any(array(0...4) { $0.matchValue() })
        case 1: .except(array(0...4) { $0.matchValue() })
        case 2: .text(text())
        case 3: .textAny(text())
        case 4: .phrase(text())
        case 5: .prefix(text())
        case 6: .range(NumberRange(gt: bound(), gte: bound(), lt: bound(), lte: bound()))
        case 7: .datetimeRange(DatetimeRange(gt: time(), gte: time(), lt: time(), lte: time()))
        case 8: .valuesCount(CountRange(gt: count(), gte: count(), lt: count(), lte: count()))
        case 9: .geoBoundingBox(GeoBoundingBox(topLeft: place(), bottomRight: place()))
        case 10: .geoRadius(GeoRadius(center: place(), radiusMetres: .random(in: 0...1e6, using: &self)))
        default: .geoPolygon(GeoPolygon(exterior: ring(), interiors: array(0...2) { $0.ring() }))
        }
    }

    private mutating func matchValue() -> MatchValue {
        switch int(0...2) {
        case 0: .keyword(text())
        case 1: .integer(Int64(bitPattern: next()))
        default: .bool(bool())
        }
    }

    private mutating func bound() -> Double? { bool() ? .random(in: -1e9...1e9, using: &self) : nil }
    private mutating func time() -> Int64? { bool() ? Int64(bitPattern: next()) : nil }
    private mutating func count() -> Int? { bool() ? int(0...1_000) : nil }

    private mutating func place() -> GeoPoint {
        GeoPoint(longitude: .random(in: -180...180, using: &self), latitude: .random(in: -90...90, using: &self))
    }

    private mutating func ring() -> [GeoPoint] { array(0...6) { $0.place() } }
}

import DataModel
import Foundation

/// A payload as a tree, and what a filter says of it: written anew, slow and straight from the dialect's description.
indirect enum ReferenceValue {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string(String)
    case array([ReferenceValue])
    case object([String: ReferenceValue])

    var json: String {
        switch self {
        case .null: "null"
        case .bool(let bool): bool ? "true" : "false"
        case .integer(let number): String(number)
        case .double(let number): String(number)
        case .string(let text): "\"\(text)\""
        case .array(let elements): "[" + elements.map(\.json).joined(separator: ",") + "]"
        case .object(let fields): "{" + fields.map { "\"\($0)\":\($1.json)" }.joined(separator: ",") + "}"
        }
    }

    /// What a path leads to; the paths of these tests have no quoted keys.
    func targets(_ path: PayloadPath) -> [ReferenceValue] {
        var values = [self]
        for part in path.text.replacingOccurrences(of: "[", with: ".[").split(separator: ".") {
            values = values.flatMap { value -> [ReferenceValue] in
                switch value {
                case .object(let fields): fields[String(part)].map { [$0] } ?? []
                case .array(let elements) where part == "[]": elements
                case .array(let elements) where part.hasPrefix("["):
                    Int(part.dropFirst().dropLast()).flatMap { $0 < elements.count ? [elements[$0]] : nil } ?? []
                default: []
                }
            }
        }
        return values
    }

    private func values(_ path: PayloadPath) -> [ReferenceValue] {
        targets(path).flatMap { if case .array(let elements) = $0 { elements } else { [$0] } }
    }

    // MARK: - Filters

    func passes(_ filter: Filter, id: UInt64) -> Bool {
        let should = filter.should.filter { passes($0, id: id) }
        let enough = filter.minShould.map { $0.conditions.filter { passes($0, id: id) }.count >= $0.count }
        return filter.must.filter { !passes($0, id: id) }.isEmpty && filter.mustNot.filter { passes($0, id: id) }.isEmpty
            && (filter.should.isEmpty || !should.isEmpty) && enough != false
    }

    private func passes(_ condition: FilterCondition, id: UInt64) -> Bool {
        switch condition {
        case .filter(let filter): passes(filter, id: id)
        case .hasID(let ids): ids.contains(.number(id))
        case .hasVector(let name): name.isEmpty
        case .slice: false
        case .isEmpty(let path):
            targets(path).allSatisfy { target in
                switch target {
                case .null: true
                case .array(let elements): elements.isEmpty
                default: false
                }
            }
        case .isNull(let path): values(path).contains { if case .null = $0 { true } else { false } }
        case .nested(let path, let filter):
            targets(path).contains { target in
                guard case .array(let elements) = target else { return false }
                return elements.contains { if case .object = $0 { $0.passes(filter, id: id) } else { false } }
            }
        case .field(let path, .valuesCount(let range)):
            counts(path).contains { range.contains($0) }
        case .field(let path, let test): values(path).contains { $0.passes(test) }
        }
    }

    private func counts(_ path: PayloadPath) -> [Int] {
        let targets = targets(path)
        if targets.isEmpty { return [0] }
        return targets.map { target in
            switch target {
            case .null: 0
            case .array(let elements): elements.count
            default: 1
            }
        }
    }

    private func passes(_ test: FieldTest) -> Bool {
        switch (test, self) {
        case (.except, .null): false
        case (.any(let values), _): values.contains { equals($0) }
        case (.except(let values), _): !values.contains { equals($0) }
        case (.text(let text), .string(let string)):
            !words(text).isEmpty && Set(words(text)).isSubset(of: words(string))
        case (.textAny(let text), .string(let string)): !Set(words(text)).isDisjoint(with: words(string))
        case (.phrase(let text), .string(let string)):
            !words(text).isEmpty
                && (" " + words(string).joined(separator: " ") + " ")
                    .contains(" " + words(text).joined(separator: " ") + " ")
        case (.prefix(let text), .string(let string)): string.hasPrefix(text)
        case (.range(let range), .integer(let number)): range.contains(Double(number))
        case (.range(let range), .double(let number)): range.contains(number)
        case (.datetimeRange(let range), .string(let string)):
            SeededGenerator.dates[string].map { range.contains($0) } ?? false
        default: place.map { Self.isInside($0, test) } ?? false
        }
    }

    private func equals(_ value: MatchValue) -> Bool {
        switch (value, self) {
        case (.keyword(let wanted), .string(let text)): wanted == text
        case (.integer(let wanted), .integer(let number)): wanted == number
        case (.bool(let wanted), .bool(let bool)): wanted == bool
        default: false
        }
    }

    private func words(_ text: String) -> [String] {
        text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
    }

    // MARK: - Places

    private var place: GeoPoint? {
        guard case .object(let fields) = self, let longitude = fields["lon"]?.number, let latitude = fields["lat"]?.number
        else { return nil }
        return GeoPoint(longitude: longitude, latitude: latitude)
    }

    private var number: Double? {
        switch self {
        case .integer(let number): Double(number)
        case .double(let number): number
        default: nil
        }
    }

    private static func isInside(_ place: GeoPoint, _ test: FieldTest) -> Bool {
        switch test {
        case .geoBoundingBox(let box):
            var (west, east, x) = (box.topLeft.longitude, box.bottomRight.longitude, place.longitude)
            // Unrolled to the east, so that the right edge is never left of the left one.
            if east < west {
                if x < east { x += 360 }
                east += 360
            }
            return west < x && x < east && box.bottomRight.latitude < place.latitude
                && place.latitude < box.topLeft.latitude
        case .geoRadius(let radius): return arc(place, radius.center) * 6_371_008.8 < radius.radiusMetres
        case .geoPolygon(let polygon):
            return isInsideConvex(place, polygon.exterior)
                && !polygon.interiors.contains { isInsideConvex(place, $0) }
        default: return false
        }
    }

    /// The angle between two places, seen from the centre of the earth.
    private static func arc(_ a: GeoPoint, _ b: GeoPoint) -> Double {
        func vector(_ place: GeoPoint) -> SIMD3<Double> {
            let (x, y) = (place.longitude * .pi / 180, place.latitude * .pi / 180)
            return SIMD3(cos(y) * cos(x), cos(y) * sin(x), sin(y))
        }
        let (u, v) = (vector(a), vector(b))
        let cross = SIMD3(u.y * v.z - u.z * v.y, u.z * v.x - u.x * v.z, u.x * v.y - u.y * v.x)
        return atan2((cross * cross).sum().squareRoot(), (u * v).sum())
    }

    /// On the same side of all edges of a convex ring.
    private static func isInsideConvex(_ place: GeoPoint, _ ring: [GeoPoint]) -> Bool {
        let sides = zip(ring, ring.dropFirst()).map { a, b in
            (b.longitude - a.longitude) * (place.latitude - a.latitude)
                - (b.latitude - a.latitude) * (place.longitude - a.longitude)
        }
        return sides.allSatisfy { $0 > 0 } || sides.allSatisfy { $0 < 0 }
    }
}

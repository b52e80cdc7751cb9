internal import DataModel
internal import Foundation

/// The ranges of cells that a part of the map touches.
struct GeoCover {
    /// A rectangle of cells, inclusive.
    struct Box {
        var west: UInt32
        var east: UInt32
        var south: UInt32
        var north: UInt32
    }

    /// Ranges of cell codes, ascending, none overlapping. They may hold more than was asked for.
    private(set) var ranges: [ClosedRange<UInt64>] = []

    /// More ranges mean more look-ups, fewer mean more places that are read in vain.
    private static let maximumRanges = 64

    init(_ boxes: [Box]) {
        for box in boxes { cover(box) }
        ranges.sort { $0.lowerBound < $1.lowerBound }
        var joined: [ClosedRange<UInt64>] = []
        for range in ranges {
            if let last = joined.last, range.lowerBound <= last.upperBound || range.lowerBound == last.upperBound &+ 1 {
                joined[joined.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                joined.append(range)
            }
        }
        ranges = joined
    }

    /// Halves squares, level by level, as long as they straddle the box's edge and there are few enough of them.
    private mutating func cover(_ box: Box) {
        var straddling: [(x: UInt32, y: UInt32)] = [(0, 0)]
        var inside: [ClosedRange<UInt64>] = []
        var bits: UInt32 = 32
        while bits > 0, straddling.count + inside.count <= Self.maximumRanges / 4, !straddling.isEmpty {
            bits -= 1
            let size: UInt32 = 1 << bits
            var next: [(x: UInt32, y: UInt32)] = []
            for (x, y) in straddling {
                for (x, y) in [(x, y), (x, y | size), (x | size, y), (x | size, y | size)] {
                    let (east, north) = (x | (size - 1), y | (size - 1))
                    if x > box.east || east < box.west || y > box.north || north < box.south { continue }
                    if x >= box.west, east <= box.east, y >= box.south, north <= box.north {
                        inside.append(Self.range(x, y, bits: bits))
                    } else {
                        next.append((x, y))
                    }
                }
            }
            straddling = next
        }
        ranges += inside
        ranges += straddling.map { Self.range($0.x, $0.y, bits: bits) }
    }

    private static func range(_ x: UInt32, _ y: UInt32, bits: UInt32) -> ClosedRange<UInt64> {
        let first = GeoCell(x: x, y: y).code
        return first...(bits == 32 ? .max : first | (1 << UInt64(bits * 2) - 1))
    }
}

extension GeoCover.Box {
    /// The boxes of cells around a rectangle of degrees, of which one that crosses the antimeridian has two.
    static func around(west: Double, east: Double, south: Double, north: Double) -> [Self] {
        guard south <= north else { return [] }
        func box(_ west: Double, _ east: Double) -> Self {
            let low = GeoCell(GeoPoint(longitude: west, latitude: south))
            let high = GeoCell(GeoPoint(longitude: east, latitude: north))
            return Self(west: low.x, east: high.x, south: low.y, north: high.y)
        }
        return west <= east ? [box(west, east)] : [box(west, 180), box(-180, east)]
    }

    /// All places within the radius and some more.
    static func around(_ radius: GeoRadius) -> [Self] {
        // The mean radius, 6,371 km, less some: rather too many degrees than too few.
        let degrees = radius.radiusMetres / 6_350_000 * 180 / .pi + 1e-6
        let (longitude, latitude) = (radius.center.longitude, radius.center.latitude)
        let (south, north) = (latitude - degrees, latitude + degrees)
        // Around a pole, and where the circle is wider than the map, every longitude may be inside.
        let widest = max(abs(south), abs(north))
        guard widest < 89.9 else { return around(west: -180, east: 180, south: max(south, -90), north: min(north, 90)) }
        let across = degrees / cos(widest * .pi / 180)
        guard across < 180 else { return around(west: -180, east: 180, south: south, north: north) }
        var (west, east) = (longitude - across, longitude + across)
        if west < -180 { west += 360 }
        if east > 180 { east -= 360 }
        return around(west: west, east: east, south: south, north: north)
    }

    static func around(_ polygon: GeoPolygon) -> [Self] {
        let (longitudes, latitudes) = (polygon.exterior.map(\.longitude), polygon.exterior.map(\.latitude))
        guard let west = longitudes.min(), let east = longitudes.max(), let south = latitudes.min(),
            let north = latitudes.max()
        else { return [] }
        return around(west: west, east: east, south: south, north: north)
    }
}

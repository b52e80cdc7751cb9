internal import DataModel
internal import Foundation

extension GeoPoint {
    /// The earth's mean radius, as the dialect's server takes it.
    private static let earthRadiusMetres = 6_371_008.8

    /// The great-circle distance on a sphere (haversine).
    func distanceMetres(to other: GeoPoint) -> Double {
        let radians = Double.pi / 180
        let (a, b) = (latitude * radians, other.latitude * radians)
        let (sinLatitude, sinLongitude) = (sin((b - a) / 2), sin((other.longitude - longitude) * radians / 2))
        let h = sinLatitude * sinLatitude + cos(a) * cos(b) * sinLongitude * sinLongitude
        return 2 * Self.earthRadiusMetres * asin(min(1, h.squareRoot()))
    }
}

// A place on the boundary of an area is outside of it, as in the dialect.

extension GeoBoundingBox {
    func contains(_ place: GeoPoint) -> Bool {
        let (west, east) = (topLeft.longitude, bottomRight.longitude)
        let isBetween =
            west > east
            ? place.longitude > west || place.longitude < east : place.longitude > west && place.longitude < east
        return isBetween && bottomRight.latitude < place.latitude && place.latitude < topLeft.latitude
    }
}

extension GeoRadius {
    func contains(_ place: GeoPoint) -> Bool { center.distanceMetres(to: place) < radiusMetres }
}

extension GeoPolygon {
    func contains(_ place: GeoPoint) -> Bool {
        Self.isInside(place, exterior) && !interiors.contains { Self.isInside(place, $0) }
    }

    /// Counts the edges that a ray to the east crosses.
    private static func isInside(_ place: GeoPoint, _ ring: [GeoPoint]) -> Bool {
        var isInside = false
        for (a, b) in zip(ring, ring.dropFirst()) where (a.latitude > place.latitude) != (b.latitude > place.latitude) {
            let share = (place.latitude - a.latitude) / (b.latitude - a.latitude)
            if place.longitude < a.longitude + share * (b.longitude - a.longitude) { isInside.toggle() }
        }
        return isInside
    }
}

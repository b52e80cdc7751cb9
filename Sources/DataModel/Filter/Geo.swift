/// A place on the globe, in degrees.
package struct GeoPoint: Sendable, Hashable {
    package var longitude: Double
    package var latitude: Double

    package init(longitude: Double, latitude: Double) {
        self.longitude = longitude
        self.latitude = latitude
    }
}

/// A rectangle of longitudes and latitudes; one whose left edge is east of its right one crosses the antimeridian.
package struct GeoBoundingBox: Sendable, Equatable {
    package var topLeft: GeoPoint
    package var bottomRight: GeoPoint

    package init(topLeft: GeoPoint, bottomRight: GeoPoint) {
        self.topLeft = topLeft
        self.bottomRight = bottomRight
    }
}

/// All places within a great-circle distance.
package struct GeoRadius: Sendable, Equatable {
    package var center: GeoPoint
    package var radiusMetres: Double

    package init(center: GeoPoint, radiusMetres: Double) {
        self.center = center
        self.radiusMetres = radiusMetres
    }
}

/// The inside of a closed ring without the insides of others.
package struct GeoPolygon: Sendable, Equatable {
    /// The first point is also the last.
    package var exterior: [GeoPoint]
    package var interiors: [[GeoPoint]]

    package init(exterior: [GeoPoint], interiors: [[GeoPoint]] = []) {
        self.exterior = exterior
        self.interiors = interiors
    }
}

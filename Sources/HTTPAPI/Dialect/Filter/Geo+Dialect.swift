import DataModel

extension JSONElement {
    func geoBoundingBox() throws(DialectError) -> GeoBoundingBox {
        try requireObject()
        try allow(only: "top_left", "bottom_right")
        return GeoBoundingBox(topLeft: try geoPoint("top_left"), bottomRight: try geoPoint("bottom_right"))
    }

    func geoRadius() throws(DialectError) -> GeoRadius {
        try requireObject()
        try allow(only: "center", "radius")
        let center = try geoPoint("center")
        let radius = try requiredField("radius")
        guard let metres = radius.doubleValue, metres.isFinite, metres >= 0 else {
            throw DialectError("radius", "a number of metres that is not negative is expected, not \(radius.shown)")
        }
        return GeoRadius(center: center, radiusMetres: metres)
    }

    func geoPolygon() throws(DialectError) -> GeoPolygon {
        try requireObject()
        try allow(only: "exterior", "interiors")
        let exterior = try requiredField("exterior")
        let outer = try within("exterior") { () throws(DialectError) in try exterior.ring() }
        guard let interiors = try field("interiors") else { return GeoPolygon(exterior: outer) }
        guard interiors.isArray else {
            throw DialectError("interiors", "an array is expected, not \(interiors.typeName)")
        }
        var inner: [[GeoPoint]] = []
        for element in interiors.elements {
            do { inner.append(try element.ring()) } catch { throw error.within("interiors[\(inner.count)]") }
        }
        return GeoPolygon(exterior: outer, interiors: inner)
    }

    /// `{"points": [...]}`, a closed line around an area.
    private func ring() throws(DialectError) -> [GeoPoint] {
        try requireObject()
        try allow(only: "points")
        let list = try requiredField("points")
        guard list.isArray else { throw DialectError("points", "an array is expected, not \(list.typeName)") }
        guard list.count <= Limits.filterValues else {
            throw DialectError("points", "\(list.count) are more than the limit of \(Limits.filterValues)")
        }
        var points: [GeoPoint] = []
        for element in list.elements {
            do { points.append(try element.geoPoint()) } catch { throw error.within("points[\(points.count)]") }
        }
        guard points.count >= 4 else { throw DialectError("points", "\(points.count) are fewer than the 4 of a ring") }
        guard points.first == points.last else {
            throw DialectError("points", "the ring is not closed: its last point is not its first")
        }
        return points
    }

    private func geoPoint(_ name: StaticString) throws(DialectError) -> GeoPoint {
        let value = try requiredField(name)
        return try within("\(name)") { () throws(DialectError) in try value.geoPoint() }
    }

    private func geoPoint() throws(DialectError) -> GeoPoint {
        try requireObject()
        try allow(only: "lon", "lat")
        return GeoPoint(longitude: try degrees("lon", in: -180...180), latitude: try degrees("lat", in: -90...90))
    }

    private func degrees(_ name: StaticString, in range: ClosedRange<Double>) throws(DialectError) -> Double {
        let value = try requiredField(name)
        guard let degrees = value.doubleValue else {
            throw DialectError("\(name)", "a number is expected, not \(value.typeName)")
        }
        guard range.contains(degrees) else {
            throw DialectError(
                "\(name)", "\(value.shown) is outside of \(Int(range.lowerBound))...\(Int(range.upperBound)) degrees")
        }
        return degrees
    }
}

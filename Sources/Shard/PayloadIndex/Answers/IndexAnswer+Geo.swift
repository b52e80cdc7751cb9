internal import DataModel
internal import LMDB

extension IndexAnswer {
    /// What a cell of the index says of the place in it.
    private enum Verdict {
        case inside
        case outside
        /// The edge runs through the cell or close by.
        case unknown
    }

    /// A cell is at most 9 mm wide; the rest is for rounding.
    private static var toleranceMetres: Double { 0.1 }

    func rows(in box: GeoBoundingBox, _ transaction: borrowing ReadTransaction) throws -> RowBounds {
        let boxes = GeoCover.Box.around(
            west: box.topLeft.longitude, east: box.bottomRight.longitude, south: box.bottomRight.latitude,
            north: box.topLeft.latitude)
        return try rows(in: boxes, transaction) { cell in
            var verdict = Verdict.outside
            for box in boxes
            where cell.x >= box.west && cell.x <= box.east && cell.y >= box.south && cell.y <= box.north {
                let isInside = cell.x > box.west && cell.x < box.east && cell.y > box.south && cell.y < box.north
                if isInside { return .inside }
                verdict = .unknown
            }
            return verdict
        }
    }

    func rows(in radius: GeoRadius, _ transaction: borrowing ReadTransaction) throws -> RowBounds {
        try rows(in: GeoCover.Box.around(radius), transaction) { cell in
            let distance = radius.center.distanceMetres(to: cell.point)
            if distance < radius.radiusMetres - Self.toleranceMetres { return .inside }
            return distance > radius.radiusMetres + Self.toleranceMetres ? .outside : .unknown
        }
    }

    func rows(in polygon: GeoPolygon, _ transaction: borrowing ReadTransaction) throws -> RowBounds {
        try rows(in: GeoCover.Box.around(polygon), transaction) { _ in .unknown }
    }

    private func rows(
        in boxes: [GeoCover.Box], _ transaction: borrowing ReadTransaction, _ judge: (GeoCell) -> Verdict
    ) throws -> RowBounds {
        var inside = RowBitmap.Builder()
        var unknown = RowBitmap.Builder()
        for range in GeoCover(boxes).ranges {
            try reader.forEachPair(in: range, transaction) { code, slot in
                switch judge(GeoCell(code: code)) {
                case .inside: inside.insert(slot)
                case .unknown: unknown.insert(slot)
                case .outside: break
                }
            }
        }
        let certain = inside.finished()
        return RowBounds(certain: certain, possible: certain.union(unknown.finished()))
    }
}

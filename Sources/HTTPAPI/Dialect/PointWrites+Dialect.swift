import DataModel

/// The bodies of writes.
extension JSONElement {
    /// `{"points": [...]}` or `{"batch": {...}}`.
    func upsertedPoints() throws(DialectError) -> [Point] {
        try requireObject()
        try refuse("shard_key", "update_filter")
        if let mode = try string("update_mode"), mode != "upsert" {
            throw DialectError("update_mode", "\(quoted(mode)) is not supported")
        }
        if let batch = try field("batch") {
            return try within("batch") { () throws(DialectError) in try batch.pointBatch() }
        }
        let list = try requiredField("points")
        return try within("points") { () throws(DialectError) in try list.pointList() }
    }

    private func pointList() throws(DialectError) -> [Point] {
        try requireArray()
        guard count <= Limits.batchPoints else {
            throw DialectError("", "\(count) points are more than the limit of \(Limits.batchPoints)")
        }
        var points: [Point] = []
        points.reserveCapacity(count)
        for element in elements {
            do {
                points.append(try element.point())
            } catch {
                throw error.within("[\(points.count)]")
            }
        }
        return points
    }

    private func point() throws(DialectError) -> Point {
        try requireObject()
        let id = try requiredField("id")
        guard let vector = try field("vector", or: "vectors") else {
            throw DialectError("vector", "the field is missing")
        }
        return Point(
            id: try within("id") { () throws(DialectError) in try PointID(id) },
            vectors: try within("vector") { () throws(DialectError) in try vector.namedVectors() },
            payload: try payload(field("payload")))
    }

    /// A payload as it is stored: absent and null are the empty object.
    private func payload(
        _ value: JSONElement?, at path: @autoclosure () -> String = "payload"
    ) throws(DialectError) -> Payload {
        guard let value else { return .empty }
        guard value.isObject else { throw DialectError(path(), "an object is expected, not \(value.typeName)") }
        guard let json = value.minified else { throw DialectError(path(), "the server is short of memory") }
        guard json.count <= Limits.payloadBytes else {
            throw DialectError(path(), "\(json.count) bytes are more than the limit of \(Limits.payloadBytes)")
        }
        return Payload(json: json)
    }

    // MARK: The batch form: one array per column

    private func pointBatch() throws(DialectError) -> [Point] {
        try requireObject()
        let ids = try pointIDs("ids")
        guard let columns = try field("vectors", or: "vector") else {
            throw DialectError("vectors", "the field is missing")
        }
        let vectors = try within("vectors") { () throws(DialectError) in try columns.vectorColumns(count: ids.count) }
        var points: [Point] = []
        points.reserveCapacity(ids.count)
        for (id, vectors) in zip(ids, vectors) { points.append(Point(id: id, vectors: vectors, payload: .empty)) }
        guard let payloads = try field("payloads") else { return points }
        guard payloads.isArray, payloads.count == ids.count else {
            throw DialectError("payloads", "an array of \(ids.count) is expected, one for each id")
        }
        for (index, value) in payloads.elements.enumerated() {
            points[index].payload = try payload(value.isNull ? nil : value, at: "payloads[\(index)]")
        }
        return points
    }

    private func vectorColumns(count: Int) throws(DialectError) -> [NamedVectors] {
        var rows = [NamedVectors](repeating: NamedVectors(), count: count)
        if isObject {
            for (name, column) in fields where !column.isNull {
                do { try column.readColumn(named: name, into: &rows) } catch { throw error.within(name) }
            }
        } else {
            try readColumn(named: "", into: &rows)
        }
        return rows
    }

    private func readColumn(named name: String, into rows: inout [NamedVectors]) throws(DialectError) {
        guard isArray, count == rows.count else {
            throw DialectError("", "an array of \(rows.count) vectors is expected, one for each id")
        }
        for (index, value) in elements.enumerated() where !value.isNull {
            do { rows[index][name] = try value.vector() } catch { throw error.within("[\(index)]") }
        }
    }

    // MARK: Deletes

    /// `{"points": [ids]}` or `{"filter": {...}}`.
    func deletion() throws(DialectError) -> PointUpdate {
        try requireObject()
        try refuse("shard_key")
        guard let filter = try FilterReader.filter(of: self) else { return .delete(try pointIDs("points")) }
        guard try field("points") == nil else { throw DialectError("filter", "ids are given too; leave out one of them") }
        return .deleteMatching(filter)
    }
}

/// One of the operations of a batch of updates.
enum PointUpdate: Sendable {
    case upsert([Point])
    case delete([PointID])
    case deleteMatching(Filter)
}

extension JSONElement {
    /// `{"operations": [{"upsert": {...}}, {"delete": {...}}, ...]}`.
    func pointUpdates() throws(DialectError) -> [PointUpdate] {
        try requireObject()
        let operations = try requiredField("operations")
        guard operations.isArray else { throw DialectError("operations", "an array is expected") }
        var updates: [PointUpdate] = []
        for operation in operations.elements {
            do { updates.append(try operation.pointUpdate()) } catch {
                throw error.within("operations[\(updates.count)]")
            }
        }
        return updates
    }

    private func pointUpdate() throws(DialectError) -> PointUpdate {
        guard isObject, count == 1, let (name, value) = fields.first(where: { _ in true }) else {
            throw DialectError("", "an object with the name of one operation is expected")
        }
        switch name {
        case "upsert": return .upsert(try within(name) { () throws(DialectError) in try value.upsertedPoints() })
        case "delete", "delete_points":
            return try within(name) { () throws(DialectError) in try value.deletion() }
        default: throw DialectError(String(name.prefix(64)), "not supported")
        }
    }
}

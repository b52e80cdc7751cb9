import DataModel

/// A write as its body has it.
struct PointWrite: Sendable {
    var request: WriteRequest
    /// What the body says that the request is called.
    var requestID: String?
}

/// The bodies of writes.
extension JSONElement {
    /// `{"points": [...]}` or `{"batch": {...}}`.
    ///
    /// - Parameter common: what the query says of every point's version.
    func upsert(common: SequenceNumber? = nil) throws(DialectError) -> PointWrite {
        try requireObject()
        try refuse("shard_key", "update_filter")
        if let mode = try string("update_mode"), mode != "upsert" {
            throw DialectError("update_mode", "\(quoted(mode)) is not supported")
        }
        var list = ConditionalPoints(common: try commonVersion(or: common))
        if let batch = try field("batch") {
            try within("batch") { () throws(DialectError) in try batch.readBatch(into: &list) }
        } else {
            let points = try requiredField("points")
            try within("points") { () throws(DialectError) in try points.readPoints(into: &list) }
        }
        guard !list.points.isEmpty else { throw DialectError("points", "the array is empty") }
        return PointWrite(
            request: WriteRequest(.upsert(list.points), conditions: list.conditions),
            requestID: try string("request_id"))
    }

    /// The version that all points of the request are expected in which say nothing else.
    private func commonVersion(or common: SequenceNumber?) throws(DialectError) -> SequenceNumber? {
        guard let own = try expectedVersion() else { return common }
        guard common == nil else { throw DialectError("if_version", "it is given in the query too") }
        return own
    }

    /// Points, and the conditions under which they are written.
    private struct ConditionalPoints {
        let common: SequenceNumber?
        var points: [Point] = []
        var conditions: [WriteCondition] = []

        mutating func expect(_ version: SequenceNumber?, of id: PointID) {
            if let version = version ?? common { conditions.append(WriteCondition(id: id, version: version)) }
        }
    }

    private func readPoints(into list: inout ConditionalPoints) throws(DialectError) {
        try requireArray()
        guard count <= Limits.batchPoints else {
            throw DialectError("", "\(count) points are more than the limit of \(Limits.batchPoints)")
        }
        list.points.reserveCapacity(count)
        for element in elements {
            do {
                let point = try element.point()
                list.expect(try element.expectedVersion(), of: point.id)
                list.points.append(point)
            } catch {
                throw error.within("[\(list.points.count)]")
            }
        }
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

    private func readBatch(into list: inout ConditionalPoints) throws(DialectError) {
        try requireObject()
        let ids = try pointIDs("ids")
        guard let columns = try field("vectors", or: "vector") else {
            throw DialectError("vectors", "the field is missing")
        }
        let vectors = try within("vectors") { () throws(DialectError) in try columns.vectorColumns(count: ids.count) }
        list.points.reserveCapacity(ids.count)
        for (id, vectors) in zip(ids, vectors) {
            list.points.append(Point(id: id, vectors: vectors, payload: .empty))
        }
        if let payloads = try column("payloads", count: ids.count) {
            for (index, value) in payloads.elements.enumerated() {
                list.points[index].payload = try payload(value.isNull ? nil : value, at: "payloads[\(index)]")
            }
        }
        try readVersions(of: ids, into: &list)
    }

    private func readVersions(of ids: [PointID], into list: inout ConditionalPoints) throws(DialectError) {
        guard let versions = try column("if_versions", count: ids.count) else {
            return ids.forEach { list.expect(nil, of: $0) }
        }
        for (id, value) in zip(ids, versions.elements) {
            do { list.expect(try value.asVersion(), of: id) } catch {
                throw error.within("if_versions[\(list.conditions.count)]")
            }
        }
    }

    private func column(_ name: StaticString, count: Int) throws(DialectError) -> JSONElement? {
        guard let values = try field(name) else { return nil }
        guard values.isArray, values.count == count else {
            throw DialectError("\(name)", "an array of \(count) is expected, one for each id")
        }
        return values
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

    /// `{"points": [ids]}`, where an id may be `{"id": ..., "if_version": ...}`, or `{"filter": {...}}`.
    func deletion(common: SequenceNumber? = nil) throws(DialectError) -> PointWrite {
        try requireObject()
        try refuse("shard_key")
        let (common, requestID) = (try commonVersion(or: common), try string("request_id"))
        guard let filter = try FilterReader.filter(of: self) else {
            return PointWrite(request: try deletionOfPoints(common: common), requestID: requestID)
        }
        guard try field("points") == nil else { throw DialectError("filter", "ids are given too; leave out one of them") }
        guard common == nil else { throw DialectError("if_version", "a filter is given, and not ids") }
        return PointWrite(request: WriteRequest(.deleteMatching(filter)), requestID: requestID)
    }

    private func deletionOfPoints(common: SequenceNumber?) throws(DialectError) -> WriteRequest {
        let points = try requiredField("points")
        var (ids, conditions): ([PointID], [WriteCondition]) = ([], [])
        try within("points") { () throws(DialectError) in
            try points.requireCountOfIDs()
            for element in points.elements {
                let (id, version) = try within("[\(ids.count)]") { () throws(DialectError) in
                    try element.deletedPoint()
                }
                ids.append(id)
                if let version = version ?? common { conditions.append(WriteCondition(id: id, version: version)) }
            }
        }
        guard !ids.isEmpty else { throw DialectError("points", "the array is empty") }
        return WriteRequest(.delete(ids), conditions: conditions)
    }

    private func deletedPoint() throws(DialectError) -> (PointID, SequenceNumber?) {
        guard isObject else { return (try PointID(self), nil) }
        let id = try requiredField("id")
        return (try within("id") { () throws(DialectError) in try PointID(id) }, try expectedVersion())
    }

    // MARK: Several writes

    /// `{"operations": [{"upsert": {...}}, {"delete": {...}}, ...]}`, and what the request is called.
    func pointWrites() throws(DialectError) -> (writes: [WriteRequest], requestID: String?) {
        try requireObject()
        let operations = try requiredField("operations")
        guard operations.isArray else { throw DialectError("operations", "an array is expected") }
        var writes: [WriteRequest] = []
        for operation in operations.elements {
            do { writes.append(try operation.pointWrite()) } catch {
                throw error.within("operations[\(writes.count)]")
            }
        }
        return (writes, try string("request_id"))
    }

    private func pointWrite() throws(DialectError) -> WriteRequest {
        guard isObject, count == 1, let (name, value) = fields.first(where: { _ in true }) else {
            throw DialectError("", "an object with the name of one operation is expected")
        }
        let write: PointWrite
        switch name {
        case "upsert": write = try within(name) { () throws(DialectError) in try value.upsert() }
        case "delete", "delete_points": write = try within(name) { () throws(DialectError) in try value.deletion() }
        default: throw DialectError(String(name.prefix(64)), "not supported")
        }
        guard write.requestID == nil else {
            throw DialectError("\(name).request_id", "one is given for all operations, beside them")
        }
        return write.request
    }
}

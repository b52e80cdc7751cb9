import DataModel

extension PointID {
    /// Reads an unsigned 64-bit integer or the text of a UUID.
    init(_ element: JSONElement) throws(DialectError) {
        if let number = element.unsignedValue {
            self = .number(number)
        } else if let text = element.stringValue, let id = PointID(uuidText: text) {
            self = id
        } else {
            throw DialectError("", "a point id is an unsigned 64-bit integer or a UUID, not \(element.shown)")
        }
    }

    /// Reads an id out of a request's path.
    init(pathComponent text: String) throws(DialectError) {
        if let number = UInt64(text), text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= $0 }) {
            self = .number(number)
        } else if let id = PointID(uuidText: text) {
            self = id
        } else {
            throw DialectError("id", "a point id is an unsigned 64-bit integer or a UUID, not \(quoted(text))")
        }
    }
}

extension JSONElement {
    /// An array of point ids under `name`, at most as many as one request may have.
    func pointIDs(_ name: StaticString) throws(DialectError) -> [PointID] {
        let array = try requiredField(name)
        return try within("\(name)") { () throws(DialectError) in try array.pointIDs() }
    }

    /// Whether it is an array of no more ids than a request may have.
    func requireCountOfIDs() throws(DialectError) {
        try requireArray()
        guard count <= Limits.batchPoints else {
            throw DialectError("", "\(count) ids are more than the limit of \(Limits.batchPoints)")
        }
    }

    func pointIDs() throws(DialectError) -> [PointID] {
        try requireCountOfIDs()
        var ids: [PointID] = []
        ids.reserveCapacity(count)
        for element in elements {
            let id = try within("[\(ids.count)]") { () throws(DialectError) in try PointID(element) }
            ids.append(id)
        }
        return ids
    }
}

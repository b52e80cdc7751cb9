/// A filter's binary form. Nested filters are read to a bounded depth: the bytes come from peers.
extension Filter: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(must) { $1.encode(to: &$0) }
        writer.write(should) { $1.encode(to: &$0) }
        writer.write(mustNot) { $1.encode(to: &$0) }
        writer.write(minShould) { writer, minShould in
            writer.write(minShould.conditions) { $1.encode(to: &$0) }
            writer.write(UInt32(clamping: minShould.count))
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        try self.init(from: &reader, depth: 1)
    }

    fileprivate init(from reader: inout BinaryReader, depth: Int) throws(BinaryFormatError) {
        guard depth <= Limits.filterDepth else {
            throw BinaryFormatError(description: "a filter is nested deeper than \(Limits.filterDepth) levels")
        }
        self.init(
            must: try reader.readConditions(depth), should: try reader.readConditions(depth),
            mustNot: try reader.readConditions(depth),
            minShould: try reader.readOptional { (reader) throws(BinaryFormatError) in
                MinShould(
                    conditions: try reader.readConditions(depth), count: Int(try reader.readInteger(as: UInt32.self)))
            })
    }

    /// The size of the binary form to expect, so that it is built in one allocation.
    package var estimatedBytes: Int {
        let lists = must.count + should.count + mustNot.count + (minShould?.conditions.count ?? 0)
        return 64 + lists * 64
    }
}

extension BinaryReader {
    fileprivate mutating func readConditions(_ depth: Int) throws(BinaryFormatError) -> [FilterCondition] {
        try readArray { (reader) throws(BinaryFormatError) in try FilterCondition(from: &reader, depth: depth) }
    }
}

extension FilterCondition {
    fileprivate func encode(to writer: inout BinaryWriter) {
        switch self {
        case .field(let path, let test):
            writer.write(UInt8(1))
            writer.write(path.text)
            test.encode(to: &writer)
        case .isEmpty(let path):
            writer.write(UInt8(2))
            writer.write(path.text)
        case .isNull(let path):
            writer.write(UInt8(3))
            writer.write(path.text)
        case .hasID(let ids):
            writer.write(UInt8(4))
            writer.write(ids) { $0.write($1) }
        case .slice(let slice):
            writer.write(UInt8(5))
            writer.write(slice.total)
            writer.write(slice.index)
        case .hasVector(let name):
            writer.write(UInt8(6))
            writer.write(name)
        case .nested(let path, let filter):
            writer.write(UInt8(7))
            writer.write(path.text)
            filter.encode(to: &writer)
        case .filter(let filter):
            writer.write(UInt8(8))
            filter.encode(to: &writer)
        }
    }

    fileprivate init(from reader: inout BinaryReader, depth: Int) throws(BinaryFormatError) {
        switch try reader.readInteger(as: UInt8.self) {
        case 1: self = .field(PayloadPath(try reader.readString()), try FieldTest(from: &reader))
        case 2: self = .isEmpty(PayloadPath(try reader.readString()))
        case 3: self = .isNull(PayloadPath(try reader.readString()))
        case 4: self = .hasID(try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readPointID() })
        case 5: self = .slice(IDSlice(total: try reader.readInteger(), index: try reader.readInteger()))
        case 6: self = .hasVector(try reader.readString())
        case 7: self = .nested(PayloadPath(try reader.readString()), try Filter(from: &reader, depth: depth + 1))
        case 8: self = .filter(try Filter(from: &reader, depth: depth + 1))
        case let other: throw BinaryFormatError(description: "\(other) is not a kind of filter condition")
        }
    }
}

extension FieldTest: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        switch self {
        case .any(let values):
            writer.write(UInt8(1))
            writer.write(values) { $1.encode(to: &$0) }
        case .except(let values):
            writer.write(UInt8(2))
            writer.write(values) { $1.encode(to: &$0) }
        case .text(let text): writer.write(kind: 3, text)
        case .textAny(let text): writer.write(kind: 4, text)
        case .phrase(let text): writer.write(kind: 5, text)
        case .prefix(let text): writer.write(kind: 6, text)
        case .range(let range):
            writer.write(UInt8(7))
            writer.write(bounds: [range.gt, range.gte, range.lt, range.lte]) { $0.write($1.bitPattern) }
        case .datetimeRange(let range):
            writer.write(UInt8(8))
            writer.write(bounds: [range.gt, range.gte, range.lt, range.lte]) { $0.write($1) }
        case .valuesCount(let range):
            writer.write(UInt8(9))
            writer.write(bounds: [range.gt, range.gte, range.lt, range.lte]) { $0.write(UInt64($1)) }
        case .geoBoundingBox(let box):
            writer.write(UInt8(10))
            writer.write(box.topLeft)
            writer.write(box.bottomRight)
        case .geoRadius(let radius):
            writer.write(UInt8(11))
            writer.write(radius.center)
            writer.write(radius.radiusMetres.bitPattern)
        case .geoPolygon(let polygon):
            writer.write(UInt8(12))
            writer.write(polygon.exterior) { $0.write($1) }
            writer.write(polygon.interiors) { writer, ring in writer.write(ring) { $0.write($1) } }
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        switch try reader.readInteger(as: UInt8.self) {
        case 1: self = .any(try reader.readArray { (reader) throws(BinaryFormatError) in try MatchValue(from: &reader) })
        case 2:
            self = .except(try reader.readArray { (reader) throws(BinaryFormatError) in try MatchValue(from: &reader) })
        case 3: self = .text(try reader.readString())
        case 4: self = .textAny(try reader.readString())
        case 5: self = .phrase(try reader.readString())
        case 6: self = .prefix(try reader.readString())
        case 7:
            self = .range(
                NumberRange(
                    gt: try reader.readBound { Double(bitPattern: $0) }, gte: try reader.readBound { Double(bitPattern: $0) },
                    lt: try reader.readBound { Double(bitPattern: $0) }, lte: try reader.readBound { Double(bitPattern: $0) }))
        case 8:
            self = .datetimeRange(
                DatetimeRange(
                    gt: try reader.readBound { Int64(bitPattern: $0) }, gte: try reader.readBound { Int64(bitPattern: $0) },
                    lt: try reader.readBound { Int64(bitPattern: $0) }, lte: try reader.readBound { Int64(bitPattern: $0) }))
        case 9:
            self = .valuesCount(
                CountRange(
                    gt: try reader.readBound { Int(clamping: $0) }, gte: try reader.readBound { Int(clamping: $0) },
                    lt: try reader.readBound { Int(clamping: $0) }, lte: try reader.readBound { Int(clamping: $0) }))
        case 10:
            self = .geoBoundingBox(
                GeoBoundingBox(topLeft: try reader.readGeoPoint(), bottomRight: try reader.readGeoPoint()))
        case 11:
            self = .geoRadius(
                GeoRadius(
                    center: try reader.readGeoPoint(), radiusMetres: Double(bitPattern: try reader.readInteger())))
        case 12:
            self = .geoPolygon(
                GeoPolygon(
                    exterior: try reader.readRing(),
                    interiors: try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readRing() }))
        case let other: throw BinaryFormatError(description: "\(other) is not a kind of test")
        }
    }
}

extension MatchValue: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        switch self {
        case .keyword(let text): writer.write(kind: 1, text)
        case .integer(let number):
            writer.write(UInt8(2))
            writer.write(number)
        case .bool(let bool):
            writer.write(UInt8(3))
            writer.write(bool)
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        switch try reader.readInteger(as: UInt8.self) {
        case 1: self = .keyword(try reader.readString())
        case 2: self = .integer(try reader.readInteger())
        case 3: self = .bool(try reader.readBool())
        case let other: throw BinaryFormatError(description: "\(other) is not a kind of value")
        }
    }
}

extension BinaryWriter {
    fileprivate mutating func write(kind: UInt8, _ text: String) {
        write(kind)
        write(text)
    }

    /// The four bounds of a range, each of 64 bits.
    fileprivate mutating func write<Bound>(bounds: [Bound?], _ body: (inout BinaryWriter, Bound) -> Void) {
        for bound in bounds { write(bound, body) }
    }

    fileprivate mutating func write(_ place: GeoPoint) {
        write(place.longitude.bitPattern)
        write(place.latitude.bitPattern)
    }
}

extension BinaryReader {
    fileprivate mutating func readBound<Bound>(_ bound: (UInt64) -> Bound) throws(BinaryFormatError) -> Bound? {
        try readOptional { (reader) throws(BinaryFormatError) in bound(try reader.readInteger()) }
    }

    fileprivate mutating func readGeoPoint() throws(BinaryFormatError) -> GeoPoint {
        GeoPoint(
            longitude: Double(bitPattern: try readInteger()), latitude: Double(bitPattern: try readInteger()))
    }

    fileprivate mutating func readRing() throws(BinaryFormatError) -> [GeoPoint] {
        try readArray { (reader) throws(BinaryFormatError) in try reader.readGeoPoint() }
    }
}

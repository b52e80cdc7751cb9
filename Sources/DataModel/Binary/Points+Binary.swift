extension NamedVectors: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(entries) { writer, entry in
            writer.write(entry.name)
            writer.write(entry.values)
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init()
        for _ in 0..<(try reader.readInteger(as: UInt32.self)) {
            let name = try reader.readString()
            self[name] = try reader.readFloats()
        }
    }
}

extension Point: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(id)
        vectors.encode(to: &writer)
        writer.write(payload.json)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            id: try reader.readPointID(),
            vectors: try NamedVectors(from: &reader),
            payload: Payload(json: try reader.readBytes()))
    }
}

extension Record: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(id)
        writer.write(version.rawValue)
        writer.write(payload) { $0.write($1.json) }
        writer.write(vectors) { $1.encode(to: &$0) }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            id: try reader.readPointID(),
            version: SequenceNumber(try reader.readInteger()),
            payload: try reader.readOptional { (reader) throws(BinaryFormatError) in
                Payload(json: try reader.readBytes())
            },
            vectors: try reader.readOptional { (reader) throws(BinaryFormatError) in try NamedVectors(from: &reader) })
    }
}

extension ScoredPoint: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        record.encode(to: &writer)
        writer.write(score)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(record: try Record(from: &reader), score: try reader.readFloat())
    }
}

extension WriteOperation: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        switch self {
        case .upsert(let points):
            writer.write(UInt8(1))
            writer.write(points) { $1.encode(to: &$0) }
        case .delete(let ids):
            writer.write(UInt8(2))
            writer.write(ids) { $0.write($1) }
        case .deleteMatching(let filter):
            writer.write(UInt8(3))
            filter.encode(to: &writer)
        case .adopt(let points, let deleted, let requests):
            writer.write(UInt8(16))
            writer.write(points) { $1.encode(to: &$0) }
            writer.write(deleted) { $0.write($1) }
            writer.write(requests) { $1.encode(to: &$0) }
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        switch try reader.readInteger(as: UInt8.self) {
        case 1:
            self = .upsert(try reader.readArray { (reader) throws(BinaryFormatError) in try Point(from: &reader) })
        case 2:
            self = .delete(try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readPointID() })
        case 3:
            self = .deleteMatching(try Filter(from: &reader))
        case 16:
            self = .adopt(
                try reader.readArray { (reader) throws(BinaryFormatError) in try VersionedPoint(from: &reader) },
                deleting: try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readPointID() },
                requests: try reader.readArray { (reader) throws(BinaryFormatError) in
                    try RememberedWrite(from: &reader)
                })
        case let other:
            throw BinaryFormatError(description: "\(other) is not a kind of write operation")
        }
    }

    /// The size of the binary form to expect, so that it is built in one allocation.
    package var estimatedBytes: Int {
        switch self {
        case .upsert(let points): points.reduce(16) { $0 + $1.estimatedBytes }
        case .adopt(let points, let deleted, let requests):
            points.reduce(32 + deleted.count * PointID.maximumKeyLength + requests.count * 48) {
                $0 + 8 + $1.point.estimatedBytes
            }
        case .delete(let ids):
            16 + ids.count * PointID.maximumKeyLength
        case .deleteMatching(let filter):
            16 + filter.estimatedBytes
        }
    }
}

extension LogPosition: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(sequence.rawValue)
        writer.write(epoch.rawValue)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(sequence: SequenceNumber(try reader.readInteger()), epoch: Epoch(try reader.readInteger()))
    }
}

extension LogRecord: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        position.encode(to: &writer)
        writer.write(stamp) { $1.encode(to: &$0) }
        operation.encode(to: &writer)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let position = try LogPosition(from: &reader)
        let stamp = try reader.readOptional { (reader) throws(BinaryFormatError) in try RequestStamp(from: &reader) }
        self.init(position: position, operation: try WriteOperation(from: &reader), stamp: stamp)
    }
}

extension Point {
    /// The size of the binary form to expect.
    package var estimatedBytes: Int {
        32 + payload.json.count
            + vectors.entries.reduce(0) { $0 + 16 + $1.name.utf8.count + $1.values.count * 4 }
    }
}

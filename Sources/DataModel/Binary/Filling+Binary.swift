extension VersionedPoint: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        point.encode(to: &writer)
        writer.write(version.rawValue)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(point: try Point(from: &reader), version: SequenceNumber(try reader.readInteger()))
    }
}

extension PointPage: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(points) { $1.encode(to: &$0) }
        writer.write(next) { $0.write($1) }
        writer.write(sequence.rawValue)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            points: try reader.readArray { (reader) throws(BinaryFormatError) in try VersionedPoint(from: &reader) },
            next: try reader.readOptional { (reader) throws(BinaryFormatError) in try reader.readBytes() },
            sequence: SequenceNumber(try reader.readInteger()))
    }
}

extension RequestPage: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(requests) { $1.encode(to: &$0) }
        writer.write(next) { $0.write($1.rawValue) }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            requests: try reader.readArray { (reader) throws(BinaryFormatError) in try RememberedWrite(from: &reader) },
            next: try reader.readOptional { (reader) throws(BinaryFormatError) in
                SequenceNumber(try reader.readInteger())
            })
    }
}

extension LogPage: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(points) { $1.encode(to: &$0) }
        writer.write(deleted) { writer, entry in
            writer.write(entry.id)
            writer.write(entry.sequence.rawValue)
        }
        writer.write(requests) { $1.encode(to: &$0) }
        position.encode(to: &writer)
        writer.write(acknowledged.rawValue)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            points: try reader.readArray { (reader) throws(BinaryFormatError) in try VersionedPoint(from: &reader) },
            deleted: try reader.readArray { (reader) throws(BinaryFormatError) in
                DeletedPoint(id: try reader.readPointID(), sequence: SequenceNumber(try reader.readInteger()))
            },
            requests: try reader.readArray { (reader) throws(BinaryFormatError) in try RememberedWrite(from: &reader) },
            position: try LogPosition(from: &reader), acknowledged: SequenceNumber(try reader.readInteger()))
    }
}

extension FillEnd: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(shard.rawValue)
        position.encode(to: &writer)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(shard: ShardNumber(try reader.readInteger()), position: try LogPosition(from: &reader))
    }
}

extension FillRequest: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        switch self {
        case .begin(let shard):
            writer.write(UInt8(1))
            writer.write(shard.rawValue)
        case .points(let shard, let ranges, let place):
            writer.write(UInt8(2))
            writer.write(shard.rawValue)
            writer.write(ranges) { $1.encode(to: &$0) }
            writer.write(place) { $0.write($1) }
        case .log(let shard, let ranges, let position):
            writer.write(UInt8(3))
            writer.write(shard.rawValue)
            writer.write(ranges) { $1.encode(to: &$0) }
            position.encode(to: &writer)
        case .hold(let milliseconds):
            writer.write(UInt8(4))
            writer.write(milliseconds)
        case .release:
            writer.write(UInt8(5))
        case .finish(let ends):
            writer.write(UInt8(6))
            writer.write(ends) { $1.encode(to: &$0) }
        case .requests(let after, let through):
            writer.write(UInt8(7))
            writer.write(after.rawValue)
            writer.write(through.rawValue)
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        switch try reader.readInteger(as: UInt8.self) {
        case 1: self = .begin(reader: ShardNumber(try reader.readInteger()))
        case 2:
            self = .points(
                reader: ShardNumber(try reader.readInteger()), try Self.ranges(&reader),
                from: try reader.readOptional { (reader) throws(BinaryFormatError) in try reader.readBytes() })
        case 3:
            self = .log(
                reader: ShardNumber(try reader.readInteger()), try Self.ranges(&reader),
                after: try LogPosition(from: &reader))
        case 4: self = .hold(milliseconds: try reader.readInteger())
        case 5: self = .release
        case 6:
            self = .finish(try reader.readArray { (reader) throws(BinaryFormatError) in try FillEnd(from: &reader) })
        case 7:
            self = .requests(
                after: SequenceNumber(try reader.readInteger()), through: SequenceNumber(try reader.readInteger()))
        case let other: throw BinaryFormatError(description: "\(other) is not a request of a split or merge")
        }
    }

    private static func ranges(_ reader: inout BinaryReader) throws(BinaryFormatError) -> [VirtualShardRange] {
        try reader.readArray { (reader) throws(BinaryFormatError) in try VirtualShardRange(from: &reader) }
    }
}

extension FillAnswer: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        switch self {
        case .begun(let position):
            writer.write(UInt8(1))
            position.encode(to: &writer)
        case .points(let page):
            writer.write(UInt8(2))
            page.encode(to: &writer)
        case .log(let page):
            writer.write(UInt8(3))
            page.encode(to: &writer)
        case .held(let position, let revision):
            writer.write(UInt8(4))
            position.encode(to: &writer)
            writer.write(revision)
        case .released:
            writer.write(UInt8(5))
        case .finished(let position):
            writer.write(UInt8(6))
            position.encode(to: &writer)
        case .requests(let page):
            writer.write(UInt8(7))
            page.encode(to: &writer)
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        switch try reader.readInteger(as: UInt8.self) {
        case 1: self = .begun(try LogPosition(from: &reader))
        case 2: self = .points(try PointPage(from: &reader))
        case 3: self = .log(try LogPage(from: &reader))
        case 4: self = .held(try LogPosition(from: &reader), revision: try reader.readInteger())
        case 5: self = .released
        case 6: self = .finished(try LogPosition(from: &reader))
        case 7: self = .requests(try RequestPage(from: &reader))
        case let other: throw BinaryFormatError(description: "\(other) is not an answer of a split or merge")
        }
    }
}

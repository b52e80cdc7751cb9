extension RequestStamp: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(name.high)
        writer.write(name.low)
        writer.write(digest)
        writer.write(scope) { $1.encode(to: &$0) }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let name = RequestName(high: try reader.readInteger(), low: try reader.readInteger())
        self.init(
            name: name, digest: try reader.readInteger(),
            scope: try reader.readOptional { (reader) throws(BinaryFormatError) in try VirtualShardSet(from: &reader) })
    }
}

extension RememberedWrite: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        stamp.encode(to: &writer)
        writer.write(sequence.rawValue)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(try RequestStamp(from: &reader), sequence: SequenceNumber(try reader.readInteger()))
    }
}

extension WriteRequest: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(stamp) { $1.encode(to: &$0) }
        writer.write(conditions) { writer, condition in
            writer.write(condition.id)
            writer.write(condition.version.rawValue)
        }
        operation.encode(to: &writer)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let stamp = try reader.readOptional { (reader) throws(BinaryFormatError) in try RequestStamp(from: &reader) }
        let conditions = try reader.readArray { (reader) throws(BinaryFormatError) in
            WriteCondition(id: try reader.readPointID(), version: SequenceNumber(try reader.readInteger()))
        }
        self.init(try WriteOperation(from: &reader), conditions: conditions, stamp: stamp)
    }

    /// The size of the binary form to expect, so that it is built in one allocation.
    package var estimatedBytes: Int {
        32 + conditions.count * (PointID.maximumKeyLength + 8) + operation.estimatedBytes
    }
}

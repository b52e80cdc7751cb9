extension ReplicaDigest: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        position.encode(to: &writer)
        writer.write(virtualShards.sorted { $0.key < $1.key }) { writer, entry in
            writer.write(entry.key.rawValue)
            writer.write(entry.value.points)
            writer.write(entry.value.hash)
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let position = try LogPosition(from: &reader)
        let entries = try reader.readArray { (reader) throws(BinaryFormatError) in
            (
                VirtualShard(try reader.readInteger()),
                VirtualShardDigest(points: try reader.readInteger(), hash: try reader.readInteger())
            )
        }
        self.init(
            position: position, virtualShards: Dictionary(entries, uniquingKeysWith: { first, _ in first }))
    }
}

extension VirtualShardRange: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(lower)
        writer.write(upper)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let (lower, upper) = (try reader.readInteger(as: UInt16.self), try reader.readInteger(as: UInt16.self))
        guard lower <= upper else {
            throw BinaryFormatError(description: "\(lower) to \(upper) is no range of virtual shards")
        }
        self.init(lower: lower, upper: upper)
    }
}

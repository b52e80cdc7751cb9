extension SnapshotCopy: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        offer.encode(to: &writer)
        writer.write(checksums) { writer, entry in
            writer.write(entry.key)
            writer.write(entry.value)
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let offer = try SnapshotOffer(from: &reader)
        let entries = try reader.readArray { (reader) throws(BinaryFormatError) in
            (name: try reader.readString(), checksum: try reader.readInteger(as: UInt64.self))
        }
        self.init(
            offer: offer, checksums: Dictionary(entries.map { ($0.name, $0.checksum) }, uniquingKeysWith: { $1 }))
    }
}

extension SnapshotPiece: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(transfer)
        writer.write(file)
        writer.write(offset)
        writer.write(count)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            transfer: try reader.readInteger(), file: try reader.readString(), offset: try reader.readInteger(),
            count: try reader.readInteger())
    }
}

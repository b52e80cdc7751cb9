extension LinkRequest: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(layout)
        writer.write(space)
        writer.write(first)
        writer.write(maximumRows)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            layout: try reader.readInteger(), space: try reader.readInteger(), first: try reader.readInteger(),
            maximumRows: try reader.readInteger())
    }
}

extension LinkPage: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(first)
        writer.write(starts) { $0.write($1) }
        writer.write(slots) { $0.write($1) }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let first: UInt32 = try reader.readInteger()
        let starts = try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readInteger(as: UInt32.self) }
        let slots = try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readInteger(as: UInt32.self) }
        guard starts.first == 0, starts.last.map(Int.init) == slots.count,
            zip(starts, starts.dropFirst()).allSatisfy({ $0 <= $1 }),
            !first.addingReportingOverflow(UInt32(starts.count)).overflow
        else { throw BinaryFormatError(description: "a page of links does not fit together") }
        self.init(first: first, starts: starts, slots: slots)
    }
}

extension SearchProfile: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(strategy.rawValue)
        for rows in [possibleRows, certainRows, estimatedRows] { writer.write(rows) { $0.write(UInt32($1)) } }
        for count in [comparisons, checkedPayloads, rescoredRows] { writer.write(UInt64(count)) }
        writer.write(ef) { $0.write(UInt32($1)) }
        writer.write(expectedRecall) { $0.write($1.bitPattern) }
        writer.write(sampledQueries) { $0.write(UInt32($1)) }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let name = try reader.readString()
        guard let strategy = Strategy(rawValue: name) else {
            throw BinaryFormatError(description: "\(name) is not a way to search")
        }
        self.init(strategy: strategy)
        possibleRows = try Self.readCount(&reader)
        certainRows = try Self.readCount(&reader)
        estimatedRows = try Self.readCount(&reader)
        comparisons = Int(clamping: try reader.readInteger(as: UInt64.self))
        checkedPayloads = Int(clamping: try reader.readInteger(as: UInt64.self))
        rescoredRows = Int(clamping: try reader.readInteger(as: UInt64.self))
        ef = try Self.readCount(&reader)
        expectedRecall = try reader.readOptional { (reader) throws(BinaryFormatError) in
            Double(bitPattern: try reader.readInteger())
        }
        sampledQueries = try Self.readCount(&reader)
    }

    private static func readCount(_ reader: inout BinaryReader) throws(BinaryFormatError) -> Int? {
        try reader.readOptional { (reader) throws(BinaryFormatError) in Int(try reader.readInteger(as: UInt32.self)) }
    }
}

extension SearchAnswer: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(points) { $1.encode(to: &$0) }
        writer.write(profile) { $1.encode(to: &$0) }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            points: try reader.readArray { (reader) throws(BinaryFormatError) in try ScoredPoint(from: &reader) },
            profile: try reader.readOptional { (reader) throws(BinaryFormatError) in try SearchProfile(from: &reader) })
    }
}

extension VectorSelector: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        switch self {
        case .none:
            writer.write(UInt8(0))
        case .all:
            writer.write(UInt8(1))
        case .named(let names):
            writer.write(UInt8(2))
            writer.write(names) { $0.write($1) }
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        switch try reader.readInteger(as: UInt8.self) {
        case 0: self = .none
        case 1: self = .all
        case 2: self = .named(try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readString() })
        case let other: throw BinaryFormatError(description: "\(other) is not a vector selector")
        }
    }
}

extension QuantizationParameters: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(ignore)
        writer.write(rescore) { $0.write($1) }
        writer.write(oversampling) { $0.write($1.bitPattern) }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            ignore: try reader.readBool(),
            rescore: try reader.readOptional { (reader) throws(BinaryFormatError) in try reader.readBool() },
            oversampling: try reader.readOptional { (reader) throws(BinaryFormatError) in
                Double(bitPattern: try reader.readInteger())
            })
    }
}

extension SearchRequest: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(space)
        writer.write(vector)
        writer.write(UInt32(limit))
        writer.write(scoreThreshold) { $0.write($1) }
        writer.write(ef) { $0.write(UInt32($1)) }
        writer.write(recall) { $0.write($1.bitPattern) }
        writer.write(exact)
        quantization.encode(to: &writer)
        writer.write(filter) { $1.encode(to: &$0) }
        writer.write(excluded) { $0.write($1) }
        writer.write(withPayload)
        withVectors.encode(to: &writer)
        writer.write(profile)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            space: try reader.readString(),
            vector: try reader.readFloats(),
            limit: Int(try reader.readInteger(as: UInt32.self)),
            scoreThreshold: try reader.readOptional { (reader) throws(BinaryFormatError) in try reader.readFloat() },
            ef: try reader.readOptional { (reader) throws(BinaryFormatError) in
                Int(try reader.readInteger(as: UInt32.self))
            },
            recall: try reader.readOptional { (reader) throws(BinaryFormatError) in
                Double(bitPattern: try reader.readInteger())
            },
            exact: try reader.readBool(),
            quantization: try QuantizationParameters(from: &reader),
            filter: try reader.readOptional { (reader) throws(BinaryFormatError) in try Filter(from: &reader) },
            excluded: try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readPointID() },
            withPayload: try reader.readBool(),
            withVectors: try VectorSelector(from: &reader),
            profile: try reader.readBool())
    }
}

extension RetrieveRequest: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(ids) { $0.write($1) }
        writer.write(withPayload)
        withVectors.encode(to: &writer)
        writer.write(isSettled)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            ids: try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readPointID() },
            withPayload: try reader.readBool(),
            withVectors: try VectorSelector(from: &reader),
            isSettled: try reader.readBool())
    }
}

extension ScrollRequest: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(start) { $0.write($1) }
        writer.write(UInt32(limit))
        writer.write(filter) { $1.encode(to: &$0) }
        writer.write(withPayload)
        withVectors.encode(to: &writer)
        writer.write(isSettled)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            start: try reader.readOptional { (reader) throws(BinaryFormatError) in try reader.readPointID() },
            limit: Int(try reader.readInteger(as: UInt32.self)),
            filter: try reader.readOptional { (reader) throws(BinaryFormatError) in try Filter(from: &reader) },
            withPayload: try reader.readBool(),
            withVectors: try VectorSelector(from: &reader),
            isSettled: try reader.readBool())
    }
}

extension ReplicaStatus: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        position.encode(to: &writer)
        writer.write(points)
        writer.write(indexedRows)
        writer.write(unindexedRows)
        writer.write(diskBytes)
        writer.write(payloadIndexes) { $1.encode(to: &$0) }
        writer.write(deadRows)
        writer.write(logBytes)
        writer.write(compaction) { $1.encode(to: &$0) }
        writer.write(searchMicroseconds)
        writer.write(damage) { $0.write($1) }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            position: try LogPosition(from: &reader),
            points: try reader.readInteger(),
            indexedRows: try reader.readInteger(),
            unindexedRows: try reader.readInteger(),
            diskBytes: try reader.readInteger(),
            payloadIndexes: try reader.readArray { (reader) throws(BinaryFormatError) in
                try PayloadIndexStatus(from: &reader)
            },
            deadRows: try reader.readInteger(),
            logBytes: try reader.readInteger(),
            compaction: try reader.readOptional { (reader) throws(BinaryFormatError) in
                try CompactionProgress(from: &reader)
            },
            searchMicroseconds: try reader.readInteger(),
            damage: try reader.readOptional { (reader) throws(BinaryFormatError) in try reader.readString() })
    }
}

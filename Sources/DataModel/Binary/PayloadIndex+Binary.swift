extension PayloadIndexConfig: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(path.text)
        writer.write(kind.rawValue)
        writer.write(text) { writer, options in
            writer.write(options.tokenizer.rawValue)
            writer.write(options.lowercase)
            writer.write(UInt32(options.minimumTokenLength))
            writer.write(options.maximumTokenLength) { $0.write(UInt32($1)) }
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let path = PayloadPath(try reader.readString())
        let name = try reader.readString()
        guard let kind = Kind(rawValue: name) else {
            throw BinaryFormatError(description: "\(name) is not a kind of payload index")
        }
        self.init(
            path: path, kind: kind,
            text: try reader.readOptional { (reader) throws(BinaryFormatError) in try TextOptions(from: &reader) })
    }
}

extension PayloadIndexStatus: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        config.encode(to: &writer)
        writer.write(progress.bitPattern)
        writer.write(points)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            config: try PayloadIndexConfig(from: &reader),
            progress: Double(bitPattern: try reader.readInteger()),
            points: try reader.readInteger())
    }
}

extension PayloadIndexConfig.TextOptions {
    fileprivate init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let name = try reader.readString()
        guard let tokenizer = Tokenizer(rawValue: name) else {
            throw BinaryFormatError(description: "\(name) is not a tokenizer")
        }
        self.init(
            tokenizer: tokenizer, lowercase: try reader.readBool(),
            minimumTokenLength: Int(try reader.readInteger(as: UInt32.self)),
            maximumTokenLength: try reader.readOptional { (reader) throws(BinaryFormatError) in
                Int(try reader.readInteger(as: UInt32.self))
            })
    }
}

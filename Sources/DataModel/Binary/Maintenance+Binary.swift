extension MaintenanceTask: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) { writer.write(rawValue) }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let name = try reader.readString()
        guard let task = MaintenanceTask(rawValue: name) else {
            throw BinaryFormatError(description: "\(name) is not a task")
        }
        self = task
    }
}

extension MaintenanceResult: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(summary)
        writer.write(findings) { $0.write($1) }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            summary: try reader.readString(),
            findings: try reader.readArray { (reader) throws(BinaryFormatError) in try reader.readString() })
    }
}

extension CompactionProgress: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(phase.rawValue)
        writer.write(done)
        writer.write(total)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let name = try reader.readString()
        guard let phase = Phase(rawValue: name) else {
            throw BinaryFormatError(description: "\(name) is not a phase of a compaction")
        }
        self.init(phase: phase, done: try reader.readInteger(), total: try reader.readInteger())
    }
}

extension BackupState: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        position.encode(to: &writer)
        writer.write(unindexedRows)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(position: try LogPosition(from: &reader), unindexedRows: try reader.readInteger())
    }
}

extension SnapshotOffer: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(transfer)
        position.encode(to: &writer)
        writer.write(files) { writer, file in
            writer.write(file.name)
            writer.write(file.bytes)
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            transfer: try reader.readInteger(),
            position: try LogPosition(from: &reader),
            files: try reader.readArray { (reader) throws(BinaryFormatError) in
                SnapshotFile(name: try reader.readString(), bytes: try reader.readInteger())
            })
    }
}

extension SnapshotChunk: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        writer.write(transfer)
        writer.write(file)
        writer.write(offset)
        writer.write(bytes)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            transfer: try reader.readInteger(),
            file: try reader.readString(),
            offset: try reader.readInteger(),
            bytes: try reader.readBytes())
    }
}

extension ShardError: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) {
        switch self {
        case .notHosted(let shard):
            writer.write(UInt8(1))
            writer.write(shard.collection.rawValue)
            writer.write(shard.number.rawValue)
        case .notServing(let reason): writer.write(kind: 2, reason)
        case .notPrimary: writer.write(UInt8(3))
        case .staleEpoch(let current):
            writer.write(UInt8(4))
            writer.write(current.rawValue)
        case .insufficientReplicas(let inSync, let required):
            writer.write(UInt8(5))
            writer.write(UInt32(inSync))
            writer.write(UInt32(required))
        case .unreachable(let reason): writer.write(kind: 6, reason)
        case .deadlineExceeded: writer.write(UInt8(7))
        case .overloaded(let reason): writer.write(kind: 8, reason)
        case .invalid(let reason): writer.write(kind: 9, reason)
        case .outOfSpace(let reason): writer.write(kind: 10, reason)
        case .corrupted(let reason): writer.write(kind: 11, reason)
        case .storage(let reason): writer.write(kind: 12, reason)
        case .versionConflict(let conflict):
            writer.write(UInt8(13))
            writer.write(conflict.point)
            writer.write(conflict.expected.rawValue)
            writer.write(conflict.actual.rawValue)
        case .requestNameReused: writer.write(UInt8(14))
        }
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        switch try reader.readInteger(as: UInt8.self) {
        case 1:
            let collection = CollectionID(try reader.readString())
            self = .notHosted(ShardID(collection: collection, number: ShardNumber(try reader.readInteger())))
        case 2: self = .notServing(reason: try reader.readString())
        case 3: self = .notPrimary
        case 4: self = .staleEpoch(current: Epoch(try reader.readInteger()))
        case 5:
            self = .insufficientReplicas(
                inSync: Int(try reader.readInteger(as: UInt32.self)),
                required: Int(try reader.readInteger(as: UInt32.self)))
        case 6: self = .unreachable(reason: try reader.readString())
        case 7: self = .deadlineExceeded
        case 8: self = .overloaded(reason: try reader.readString())
        case 9: self = .invalid(reason: try reader.readString())
        case 10: self = .outOfSpace(reason: try reader.readString())
        case 11: self = .corrupted(reason: try reader.readString())
        case 12: self = .storage(reason: try reader.readString())
        case 13:
            self = .versionConflict(
                VersionConflict(
                    point: try reader.readPointID(), expected: SequenceNumber(try reader.readInteger()),
                    actual: SequenceNumber(try reader.readInteger())))
        case 14: self = .requestNameReused
        case let other: throw BinaryFormatError(description: "\(other) is not a kind of shard error")
        }
    }
}

extension BinaryWriter {
    fileprivate mutating func write(kind: UInt8, _ reason: String) {
        write(kind)
        write(reason)
    }
}

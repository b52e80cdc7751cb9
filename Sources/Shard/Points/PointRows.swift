internal import DataModel

/// The value of an entry in `points`: where a point's row is.
struct PointLocation {
    var slot: UInt32
    var version: SequenceNumber

    static let byteCount = 16

    init(slot: UInt32, version: SequenceNumber) {
        self.slot = slot
        self.version = version
    }

    /// slot (4), sequence (8), checksum of both and of the key (4).
    func bytes(at key: UnsafeRawBufferPointer) -> [UInt8] {
        var writer = BinaryWriter(capacity: Self.byteCount)
        writer.write(slot)
        writer.write(version.rawValue)
        let sum = writer.bytes.withUnsafeBytes { Self.checksum($0, at: key) }
        writer.write(sum)
        return writer.bytes
    }

    init(_ bytes: UnsafeRawBufferPointer, at key: UnsafeRawBufferPointer) throws {
        var reader = BinaryReader(bytes)
        slot = try reader.readInteger()
        version = SequenceNumber(try reader.readInteger())
        let sum = Self.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<12]), at: key)
        guard try reader.readInteger(as: UInt32.self) == sum else {
            throw ShardError.corrupted(reason: "the checksum of an entry of `points` does not match")
        }
    }

    private static func checksum(_ bytes: UnsafeRawBufferPointer, at key: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: Format.checksum(bytes) ^ Format.checksum(key))
    }

    /// The key of a point: virtual shard (2, big-endian), then the id's key bytes.
    static func key(of id: PointID, virtualShards: Int) -> [UInt8] {
        key(of: id, in: VirtualShard(of: id, count: virtualShards))
    }

    static func key(of id: PointID, in shard: VirtualShard) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(2 + PointID.maximumKeyLength)
        key.append(bigEndian: shard.rawValue)
        key.append(contentsOf: id.keyBytes)
        return key
    }

    /// The parts of a key that `key(of:virtualShards:)` made.
    ///
    /// A damaged key mostly contradicts itself: an id belongs to one virtual shard.
    static func parts(ofKey key: UnsafeRawBufferPointer, virtualShards: Int) throws -> (VirtualShard, PointID) {
        guard key.count > 2, let id = PointID(keyBytes: UnsafeRawBufferPointer(rebasing: key[2...])) else {
            throw ShardError.corrupted(reason: "a key of `points` is no point's")
        }
        let shard = VirtualShard(UInt16(bigEndian: key.loadUnaligned(as: UInt16.self)))
        guard shard == VirtualShard(of: id, count: virtualShards) else {
            throw ShardError.corrupted(reason: "a key of `points` has point \(id) in virtual shard \(shard)")
        }
        return (shard, id)
    }
}

/// The value of an entry in `payloads`: what a search needs to turn a slot into an answer with one look-up.
struct PayloadRow {
    var id: PointID
    var version: SequenceNumber
    /// The spaces in which the point has a vector.
    var spaces: SpaceSet
    /// Points into the map.
    var json: UnsafeRawBufferPointer

    private static let keyOffset = 17

    /// Sealed: sequence (8), spaces (8), length of the id's key bytes (1), key bytes, JSON.
    static func bytes(
        id: PointID, version: SequenceNumber, spaces: SpaceSet, payload: Payload, slot: UInt32
    ) -> [UInt8] {
        let key = id.keyBytes
        var bytes: [UInt8] = []
        bytes.reserveCapacity(keyOffset + key.count + payload.json.count)
        withUnsafeBytes(of: version.rawValue.littleEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: spaces.bits.littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(key.count))
        bytes.append(contentsOf: key)
        bytes.append(contentsOf: payload.json)
        return Sealed.bytes(bytes, at: UInt64(slot))
    }

    /// The bytes of the same row under another slot.
    static func bytes(_ value: UnsafeRawBufferPointer, from slot: UInt32, to newSlot: UInt32) throws -> [UInt8] {
        Sealed.bytes([UInt8](copying: try contents(of: value, slot: slot)), at: UInt64(newSlot))
    }

    private static func contents(of value: UnsafeRawBufferPointer, slot: UInt32) throws -> UnsafeRawBufferPointer {
        try Sealed.contents(of: value, at: UInt64(slot), "row \(slot) in `payloads`")
    }

    init(_ value: UnsafeRawBufferPointer, slot: UInt32) throws {
        let bytes = try Self.contents(of: value, slot: slot)
        let keyOffset = Self.keyOffset
        guard bytes.count > keyOffset, bytes.count >= keyOffset + Int(bytes[keyOffset - 1]) else {
            throw ShardError.corrupted(reason: "an entry of `payloads` is too short")
        }
        let keyEnd = keyOffset + Int(bytes[keyOffset - 1])
        guard let id = PointID(keyBytes: UnsafeRawBufferPointer(rebasing: bytes[keyOffset..<keyEnd])) else {
            throw ShardError.corrupted(reason: "an entry of `payloads` has no point id")
        }
        self.id = id
        version = SequenceNumber(UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
        spaces = SpaceSet(bits: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        json = UnsafeRawBufferPointer(rebasing: bytes[keyEnd...])
    }

    var payload: Payload { Payload(json: [UInt8](copying: json)) }
}

/// A set of vector spaces by their numbers: one bit each, which `Limits.vectorSpaces` allows.
struct SpaceSet: Equatable {
    var bits: UInt64 = 0

    func contains(_ space: Int) -> Bool { bits & (1 << UInt64(space)) != 0 }
    mutating func insert(_ space: Int) { bits |= 1 << UInt64(space) }
}

/// The value of an entry in `log`.
struct LogEntry {
    /// The slot that the operation's first point got on this replica.
    var firstSlot: UInt32
    var record: LogRecord

    /// Sealed: the first slot (4), then the record.
    static func bytes(_ record: LogRecord, firstSlot: UInt32) -> [UInt8] {
        var writer = BinaryWriter(capacity: 64 + record.operation.estimatedBytes)
        writer.write(firstSlot)
        record.encode(to: &writer)
        return Sealed.bytes(writer.bytes, at: record.position.sequence.rawValue)
    }

    init(_ value: UnsafeRawBufferPointer, sequence: SequenceNumber) throws {
        var reader = BinaryReader(
            try Sealed.contents(of: value, at: sequence.rawValue, "write \(sequence) in `log`"))
        firstSlot = try reader.readInteger()
        record = try LogRecord(from: &reader)
    }
}

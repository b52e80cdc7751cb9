import DataModel

/// What a request asks for: the messages of `ShardService` and `ReplicaService`. Numbers are never used again.
enum Method: UInt8, Sendable, CaseIterable {
    case search = 1
    case retrieve = 2
    case scroll = 3
    case count = 4
    case write = 5
    case status = 6
    case maintain = 7

    case takeSnapshot = 12
    case readSnapshot = 13
    case dropSnapshot = 14

    case openReplica = 16
    case replicate = 17
    case beginSnapshot = 18
    case receiveSnapshot = 19
    case finishSnapshot = 20
    case digest = 21
    case fill = 22
    case links = 23

    /// Whether a replica answers by itself, from what it has.
    var isRead: Bool {
        switch self {
        case .search, .retrieve, .scroll, .count: true
        default: false
        }
    }
}

/// The start of each request's body; the method's own arguments follow.
struct RequestHead: Sendable, Equatable, BinaryCodable {
    var shard: ShardID
    /// The shard's epoch in the sender's shard map; 0 where the method takes none.
    var epoch: Epoch
    /// See `RequestContext`.
    var isStaleAllowed: Bool

    init(shard: ShardID, epoch: Epoch, isStaleAllowed: Bool = false) {
        self.shard = shard
        self.epoch = epoch
        self.isStaleAllowed = isStaleAllowed
    }

    func encode(to writer: inout BinaryWriter) {
        writer.write(shard.collection.rawValue)
        writer.write(shard.number.rawValue)
        writer.write(epoch.rawValue)
        writer.write(isStaleAllowed)
    }

    init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let collection = CollectionID(try reader.readString())
        shard = ShardID(collection: collection, number: ShardNumber(try reader.readInteger()))
        epoch = Epoch(try reader.readInteger())
        isStaleAllowed = try reader.readBool()
    }
}

extension Deadline {
    /// The time that is left, as it travels: at most 71 minutes, never less than nothing.
    var remainingMicroseconds: UInt32 {
        let (seconds, attoseconds) = remaining.components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (micros, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        guard !overflow else { return .max }
        return UInt32(clamping: micros.addingReportingOverflow(attoseconds / 1_000_000_000_000).partialValue)
    }
}

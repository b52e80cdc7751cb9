internal import DataModel

/// What `points` knows of itself: one value in `meta`, rewritten by every group commit.
struct PointsState: Equatable {
    /// The last write that is committed.
    var position = LogPosition.start
    /// Rows that were ever given out; the next point's slot.
    var slotCount: UInt32 = 0
    /// Points that exist.
    var pointCount: UInt64 = 0
    /// The first sequence that is still in `log`; one past `position` when it is empty.
    var firstLogged = SequenceNumber(1)
    /// Bytes of the values in `log`.
    var logBytes: UInt64 = 0
    /// The write that holds the first row of the unfinished vector block: recovery reads the log from here.
    var tailSequence = SequenceNumber(1)

    /// Rows whose vectors are in finished blocks of `vectors`.
    var storedRows: UInt32 { slotCount / UInt32(Format.rowsPerBlock) * UInt32(Format.rowsPerBlock) }
}

extension PointsState: BinaryCodable {
    func encode(to writer: inout BinaryWriter) {
        writer.write(Format.version)
        position.encode(to: &writer)
        writer.write(slotCount)
        writer.write(pointCount)
        writer.write(firstLogged.rawValue)
        writer.write(logBytes)
        writer.write(tailSequence.rawValue)
    }

    init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let version = try reader.readInteger(as: UInt32.self)
        guard version == Format.version else {
            throw BinaryFormatError(description: "format version \(version), and this server reads \(Format.version)")
        }
        position = try LogPosition(from: &reader)
        slotCount = try reader.readInteger()
        pointCount = try reader.readInteger()
        firstLogged = SequenceNumber(try reader.readInteger())
        logBytes = try reader.readInteger()
        tailSequence = SequenceNumber(try reader.readInteger())
    }
}

/// In which epochs the writes of a shard were ordered: what two replicas compare to find where their histories part.
struct EpochHistory: Equatable {
    /// Ascending in both fields; each entry's epoch ordered the writes from `first` up to the next entry's.
    private(set) var entries: [(epoch: Epoch, first: SequenceNumber)] = []

    /// Older entries than these only matter to a replica so far behind that it gets a snapshot anyway.
    static let maximumEntries = 1_000

    static func == (lhs: Self, rhs: Self) -> Bool {
        lhs.entries.elementsEqual(rhs.entries) { $0.epoch == $1.epoch && $0.first == $1.first }
    }

    /// True when the write opened a new epoch.
    mutating func note(_ position: LogPosition) -> Bool {
        if let last = entries.last, last.epoch >= position.epoch { return false }
        entries.append((position.epoch, position.sequence))
        if entries.count > Self.maximumEntries { entries.removeFirst(entries.count - Self.maximumEntries) }
        return true
    }

    /// The epoch that ordered `sequence`; nil when it is older than the history.
    func epoch(of sequence: SequenceNumber) -> Epoch? {
        sequence == .zero ? LogPosition.start.epoch : entries.last { $0.first <= sequence }?.epoch
    }
}

extension EpochHistory: BinaryCodable {
    func encode(to writer: inout BinaryWriter) {
        writer.write(entries) { writer, entry in
            writer.write(entry.epoch.rawValue)
            writer.write(entry.first.rawValue)
        }
    }

    init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        entries = try reader.readArray { (reader) throws(BinaryFormatError) in
            (Epoch(try reader.readInteger()), SequenceNumber(try reader.readInteger()))
        }
    }
}

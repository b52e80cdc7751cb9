internal import DataModel

/// A payload index of one replica, as its catalog keeps it.
struct PayloadIndexEntry: Equatable {
    enum State: Equatable {
        /// Commits index the rows from `end` on; those before are gone through in the background and done up to `next`.
        case building(next: UInt32, end: UInt32)
        case complete
        /// Its entries are being removed; its number is free when they are.
        case dropping
    }

    /// What stands for the index in keys; no other entry has it.
    let number: UInt16
    let config: PayloadIndexConfig
    var state: State

    /// Whether commits must keep the index.
    var isMaintained: Bool { state != .dropping }

    /// The share of the rows of its creation that are in the index.
    var progress: Double {
        guard case .building(let next, let end) = state, end > 0 else { return 1 }
        return Double(next) / Double(end)
    }
}

/// All payload indexes of a replica: one value in `meta`, small enough to be read by each query that filters.
struct PayloadIndexCatalog: Equatable {
    /// In order of numbers.
    private(set) var entries: [PayloadIndexEntry] = []

    /// An index that may answer conditions on the path. One on `a` says nothing of `a[]`: a value alone, and an array in
    /// an array, are at the one and not at the other.
    func usable(at path: PayloadPath) -> PayloadIndexEntry? {
        entries.first { $0.state == .complete && $0.config.path == path }
    }

    /// How the text index on the path splits texts; nil when there is none that may answer.
    func tokenizer(at path: PayloadPath) -> Tokenizer? {
        guard let config = usable(at: path)?.config, config.kind == .text else { return nil }
        return Tokenizer(config.text)
    }

    /// Creates what is wanted and not there, from row 0 to `slotCount`, and drops what is there and not wanted.
    ///
    /// - Returns: whether anything changed.
    mutating func reconcile(with wanted: [PayloadIndexConfig], slotCount: UInt32) -> Bool {
        var changed = false
        for index in entries.indices where entries[index].isMaintained && !wanted.contains(entries[index].config) {
            entries[index].state = .dropping
            changed = true
        }
        for config in wanted where !entries.contains(where: { $0.isMaintained && $0.config == config }) {
            guard let number = (0...UInt16.max).first(where: { number in !entries.contains { $0.number == number } })
            else { break }
            let state: PayloadIndexEntry.State = slotCount == 0 ? .complete : .building(next: 0, end: slotCount)
            entries.append(PayloadIndexEntry(number: number, config: config, state: state))
            entries.sort { $0.number < $1.number }
            changed = true
        }
        return changed
    }

    mutating func set(_ state: PayloadIndexEntry.State, of number: UInt16) {
        for index in entries.indices where entries[index].number == number { entries[index].state = state }
    }

    mutating func remove(_ number: UInt16) { entries.removeAll { $0.number == number } }
}

extension PayloadIndexCatalog: BinaryCodable {
    func encode(to writer: inout BinaryWriter) {
        writer.write(entries) { writer, entry in
            writer.write(entry.number)
            entry.config.encode(to: &writer)
            switch entry.state {
            case .building(let next, let end):
                writer.write(UInt8(0))
                writer.write(next)
                writer.write(end)
            case .complete: writer.write(UInt8(1))
            case .dropping: writer.write(UInt8(2))
            }
        }
    }

    init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        entries = try reader.readArray { (reader) throws(BinaryFormatError) in
            let number = try reader.readInteger(as: UInt16.self)
            let config = try PayloadIndexConfig(from: &reader)
            let state: PayloadIndexEntry.State =
                switch try reader.readInteger(as: UInt8.self) {
                case 0: .building(next: try reader.readInteger(), end: try reader.readInteger())
                case 1: .complete
                case 2: .dropping
                case let other: throw BinaryFormatError(description: "\(other) is not a state of an index")
                }
            return PayloadIndexEntry(number: number, config: config, state: state)
        }
    }
}

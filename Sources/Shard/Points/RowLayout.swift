internal import DataModel

/// Tells in which slots a replica's rows lie. Slots are given out in the order of the log: replicas that began empty, or
/// with a copy of each other's files, and took the same writes in have their rows in the same slots, and the same layout.
struct RowLayout: Equatable {
    let rawValue: UInt64

    /// That of a shard that began empty.
    static let first = RowLayout(rawValue: 0)

    /// One that no other replica has: rows were given slots in another order than the log's.
    static func unique() -> RowLayout { RowLayout(rawValue: .random(in: 1 ... .max)) }
}

extension RowLayout: BinaryCodable {
    func encode(to writer: inout BinaryWriter) { writer.write(rawValue) }

    init(from reader: inout BinaryReader) throws(BinaryFormatError) { rawValue = try reader.readInteger() }
}

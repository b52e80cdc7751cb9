internal import DataModel
internal import Foundation
internal import LMDB

/// The environment `points`, the truth of a shard: its tables and how it is opened.
struct PointStore: Sendable {
    let environment: Environment
    let meta: Table
    let points: Table
    let payloads: Table
    let log: Table
    let vectors: Table
    let deletions: Table
    let postings: Table
    let numbers: PairTable
    private let payloadAddresses: PayloadAddresses

    init(folder: String, options: ShardOptions) throws {
        environment = try Environment.open(
            folder,
            options: .init(mapSizeBytes: options.pointsMapBytes, syncsCommits: options.durability == .commit))
        let tables = try environment.openTables(Format.PointsTable.all)
        (meta, points, payloads) = (tables[0], tables[1], tables[2])
        (log, vectors, deletions, postings) = (tables[3], tables[4], tables[5], tables[6])
        numbers = try environment.openPairTable(Format.PointsTable.numbers, width: NumberPair.byteCount)
        payloadAddresses = try PayloadAddresses(maximumRows: Limits.rowsPerShard)
    }

    /// - Throws: `corrupted` when there is none that can be read.
    func loadSchema() throws -> ShardSchema {
        let stored = try environment.read { transaction in
            try transaction.get(Format.MetaKey.schema, in: meta).map { Data($0) }
        }
        guard let stored, let schema = try? JSONDecoder().decode(ShardSchema.self, from: stored) else {
            throw ShardError.corrupted(reason: "\(environment.path) has no schema that can be read")
        }
        return schema
    }

    /// Checks the stored schema against `schema`, or stores it in a new shard.
    func checkSchema(_ schema: ShardSchema) throws {
        let stored = try environment.read { transaction in
            try transaction.get(Format.MetaKey.schema, in: meta).map { Data($0) }
        }
        if let stored {
            guard try JSONDecoder().decode(ShardSchema.self, from: stored) == schema else {
                throw ShardError.storage(reason: "\(environment.path) holds points of another schema")
            }
            return
        }
        let bytes = Array(try JSONEncoder().encode(schema))
        try environment.write { transaction in
            try transaction.put(bytes, at: Format.MetaKey.schema, in: meta)
            try transaction.put(Sealed.bytes(PointsState().encoded()), at: Format.MetaKey.state, in: meta)
        }
    }

    /// The entry of `payloads` of a slot below `slotCount`, which the transaction sees all of.
    @inline(__always)
    func payloadRow(
        at slot: UInt32, slotCount: UInt32, _ transaction: borrowing ReadTransaction
    ) throws -> PayloadRow {
        if let entry = payloadAddresses.entry(at: slot) { return try PayloadRow(entry, slot: slot) }
        guard let entry = try transaction.get(slot, in: payloads) else {
            throw ShardError.corrupted(reason: "row \(slot) has no entry in `payloads`")
        }
        payloadAddresses.note(entry, at: slot, slotCount: slotCount)
        return try PayloadRow(entry, slot: slot)
    }

    func loadState(_ transaction: borrowing ReadTransaction) throws -> PointsState {
        guard let bytes = try transaction.get(Format.MetaKey.state, in: meta) else {
            throw ShardError.corrupted(reason: "\(environment.path) has no state")
        }
        return try PointsState(decoding: try Sealed.contents(of: bytes, "the state in `meta`"))
    }

    func loadEpochs(_ transaction: borrowing ReadTransaction) throws -> EpochHistory {
        try transaction.get(Format.MetaKey.epochs, in: meta).map { try EpochHistory(decoding: $0) } ?? EpochHistory()
    }

    func loadPayloadIndexes(_ transaction: borrowing some Transaction & ~Copyable) throws -> PayloadIndexCatalog {
        let bytes = try transaction.get(Format.MetaKey.payloadIndexes, in: meta)
        return try bytes.map { try PayloadIndexCatalog(decoding: $0) } ?? PayloadIndexCatalog()
    }

    func save(_ catalog: PayloadIndexCatalog, _ transaction: borrowing WriteTransaction) throws {
        try transaction.put(catalog.encoded(), at: Format.MetaKey.payloadIndexes, in: meta)
    }

    /// The deletions of one space.
    func loadDeletions(space: Int, _ transaction: borrowing ReadTransaction) throws -> DeletedSet {
        var chunks: [DeletedSet.Chunk?] = []
        var count = 0
        try transaction.withCursor(in: deletions) { cursor in
            var entry = try cursor.seek(Format.vectorBlockKey(space: space, block: 0))
            while let (key, sealed) = entry, key.count == 6,
                Int(UInt16(bigEndian: key.loadUnaligned(as: UInt16.self))) == space
            {
                let index = Int(UInt32(bigEndian: key.loadUnaligned(fromByteOffset: 2, as: UInt32.self)))
                guard index <= Limits.rowsPerShard / Format.rowsPerDeletionChunk else {
                    throw ShardError.corrupted(reason: "there is no deletion chunk \(index)")
                }
                let value = try Sealed.contents(
                    of: sealed, at: DeletedSet.number(space: space, chunk: index),
                    "deletion chunk \(index) of space \(space)")
                guard value.count == Format.deletionChunkBytes else {
                    throw ShardError.corrupted(reason: "a deletion chunk has \(value.count) bytes")
                }
                while chunks.count <= index { chunks.append(nil) }
                let chunk = DeletedSet.Chunk(copying: nil)
                UnsafeMutableRawPointer(chunk.words).copyMemory(
                    from: value.baseAddress ?? UnsafeRawPointer(chunk.words), byteCount: value.count)
                count += (0..<DeletedSet.Chunk.wordCount).reduce(0) { $0 + chunk.words[$1].nonzeroBitCount }
                chunks[index] = chunk
                entry = try cursor.next()
            }
        }
        return DeletedSet(chunks: chunks, count: count)
    }

    /// The log's entries from `first` on, until `body` returns false.
    func forEachLogEntry(
        from first: SequenceNumber, _ transaction: borrowing ReadTransaction,
        _ body: (SequenceNumber, UnsafeRawBufferPointer) throws -> Bool
    ) throws {
        try transaction.withCursor(in: log) { cursor in
            var entry = try cursor.seek(first.rawValue)
            while let (key, value) = entry {
                guard key.count == 8 else { throw ShardError.corrupted(reason: "a key of `log` is no sequence") }
                let sequence = SequenceNumber(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))
                guard try body(sequence, value) else { return }
                entry = try cursor.next()
            }
        }
    }
}

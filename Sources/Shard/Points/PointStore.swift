internal import DataModel
internal import LMDB
internal import VectorIndex

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
    let numbers: Table
    let requests: Table
    private let payloadAddresses: PayloadAddresses

    /// - Parameter isReadOnly: the folder stays as it is; nobody else may have it open.
    init(folder: String, options: ShardOptions, isReadOnly: Bool = false) throws {
        environment = try Environment.open(
            folder,
            options: .init(
                mapSizeBytes: options.pointsMapBytes, syncsCommits: options.durability == .commit,
                isReadOnly: isReadOnly))
        let tables = try Self.openTables(environment)
        (meta, points, payloads) = (tables[0], tables[1], tables[2])
        (log, vectors, deletions, postings, numbers) = (tables[3], tables[4], tables[5], tables[6], tables[7])
        requests = tables[8]
        payloadAddresses = try PayloadAddresses(maximumRows: Limits.rowsPerShard)
    }

    /// - Throws: for a shard of a former version its version, in place of the tables that it lacks.
    private static func openTables(_ environment: Environment) throws -> [Table] {
        do {
            return try environment.openTables(Format.PointsTable.all)
        } catch {
            guard error.isCorruption, let meta = try? environment.openTables([Format.PointsTable.meta]).first else {
                throw error
            }
            _ = try environment.read { try loadState(from: meta, of: environment, $0) }
            throw error
        }
    }

    /// Where the point with the key is, or nil.
    ///
    /// - Throws: `corrupted` too when it is not certain that there is none.
    func location(
        of key: [UInt8], _ transaction: borrowing some Transaction & ~Copyable
    ) throws -> PointLocation? {
        if let value = try transaction.get(key, in: points) {
            return try key.withUnsafeBytes { try PointLocation(value, at: $0) }
        }
        try transaction.withNeighbours(of: key, in: points) { before, after in
            for entry in [before, after] {
                if let entry { _ = try PointLocation(entry.value, at: entry.key) }
            }
        }
        return nil
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

    /// Runs `body`, in which the look-ups of these rows by `payloadRow` are quicker.
    func prefetchingPayloads<Result>(of rows: [Neighbour], _ body: () throws -> Result) rethrows -> Result {
        try payloadAddresses.prefetching(rows, body)
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
            // What ends the chunks must not be one of them under a damaged key.
            if let (key, sealed) = entry { try Self.checkDeletionChunk(key, sealed) }
        }
        return DeletedSet(chunks: chunks, count: count)
    }

    private static func checkDeletionChunk(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
        guard key.count == 6 else { throw ShardError.corrupted(reason: "a key of `deletions` is no chunk's") }
        let space = Int(UInt16(bigEndian: key.loadUnaligned(as: UInt16.self)))
        let chunk = Int(UInt32(bigEndian: key.loadUnaligned(fromByteOffset: 2, as: UInt32.self)))
        _ = try Sealed.contents(
            of: value, at: DeletedSet.number(space: space, chunk: chunk), "deletion chunk \(chunk) of space \(space)")
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

internal import DataModel
internal import LMDB

/// Reads all that a generation of a shard has on disk, in one state of each environment, and compares it with its
/// checksums and with each other: `points` with `payloads` and `deletions`, the log with the position, the blocks with the
/// counts.
struct ShardVerification {
    let store: PointStore
    /// Nil when it cannot be opened.
    let index: IndexStore?
    let schema: ShardSchema
    /// Called with the bytes of each block that was read; a scrubber holds itself back here, and throws to stop.
    let pace: (Int) throws -> Void

    func run(_ report: inout VerificationReport) throws {
        let points = try PinnedRead(store.environment)
        try points.read { transaction in
            var state: PointsState?
            report.noting("meta") { _ in state = try store.loadState(transaction) }
            guard let state else { return }
            report.noting("meta") { _ in _ = try store.loadEpochs(transaction) }
            report.noting("meta") { _ in _ = try store.loadPayloadIndexes(transaction) }
            report.noting("meta") { _ in _ = try store.loadLayout(transaction) }
            try verifyRows(state, &report, transaction)
            try verifyLog(state, &report, transaction)
            try verifyRequests(state, &report, transaction)
            try verifyVectors(state, &report, transaction)
            try verifyPayloadIndexes(&report, transaction)
        }
        if let index { try verify(index, &report) }
    }

    // MARK: - Points and their rows

    private func verifyRows(
        _ state: PointsState, _ report: inout VerificationReport, _ transaction: borrowing ReadTransaction
    ) throws {
        var dead = DeletedSet.empty
        var missing: [DeletedSet] = []
        report.noting("deletions") { _ in
            missing = try schema.spaces.indices.map { try store.loadDeletions(space: $0, transaction) }
            dead = try store.loadDeletions(space: schema.spaces.count, transaction)
        }
        try verifyPayloads(state, &report, transaction)
        try walk(store.points, "points", &report, transaction) { key, value, report in
            report.points += 1
            let (_, id) = try PointLocation.parts(ofKey: key, virtualShards: schema.virtualShards)
            let location = try PointLocation(value, at: key)
            guard location.slot < state.slotCount else {
                throw ShardError.corrupted(reason: "point \(id) is in row \(location.slot) of \(state.slotCount)")
            }
            // A row that cannot be read is named by the walk through `payloads`.
            guard let entry = try transaction.get(location.slot, in: store.payloads) else {
                throw ShardError.corrupted(reason: "row \(location.slot) of point \(id) is not in `payloads`")
            }
            guard let row = try? PayloadRow(entry, slot: location.slot) else { return }
            guard row.id == id, row.version == location.version else {
                throw ShardError.corrupted(reason: "row \(location.slot) of point \(id) is that of point \(row.id)")
            }
            if dead.contains(location.slot) {
                throw ShardError.corrupted(reason: "row \(location.slot) of point \(id) is marked as dead")
            }
            for (space, set) in missing.enumerated() where set.contains(location.slot) == row.spaces.contains(space) {
                throw ShardError.corrupted(
                    reason: "`deletions` and `payloads` differ on the vector of point \(id) in space \(space)")
            }
        }
        if report.points != state.pointCount {
            report.note("points: \(report.points) entries, and `meta` counts \(state.pointCount)")
        }
    }

    private func verifyPayloads(
        _ state: PointsState, _ report: inout VerificationReport, _ transaction: borrowing ReadTransaction
    ) throws {
        try walk(store.payloads, "payloads", &report, transaction) { key, value, report in
            report.rows += 1
            guard key.count == 4 else { throw ShardError.corrupted(reason: "a key is no slot") }
            let slot = UInt32(bigEndian: key.loadUnaligned(as: UInt32.self))
            guard slot < state.slotCount else {
                throw ShardError.corrupted(reason: "row \(slot), and there are \(state.slotCount)")
            }
            _ = try PayloadRow(value, slot: slot)
        }
    }

    // MARK: - The log

    private func verifyLog(
        _ state: PointsState, _ report: inout VerificationReport, _ transaction: borrowing ReadTransaction
    ) throws {
        var expected = state.firstLogged
        var bytes: UInt64 = 0
        try walk(store.log, "log", &report, transaction) { key, value, report in
            report.logEntries += 1
            bytes += UInt64(value.count)
            guard key.count == 8 else { throw ShardError.corrupted(reason: "a key is no sequence") }
            let sequence = SequenceNumber(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))
            defer { expected = sequence.next }
            let entry = try LogEntry(value, sequence: sequence)
            guard sequence == expected, entry.record.position.sequence == sequence else {
                throw ShardError.corrupted(reason: "write \(sequence) where \(expected) was expected")
            }
        }
        if expected != state.position.sequence.next {
            report.note("log: ends before write \(expected), and the last one is \(state.position.sequence)")
        }
        if bytes != state.logBytes { report.note("log: \(bytes) bytes, and `meta` counts \(state.logBytes)") }
    }

    private func verifyRequests(
        _ state: PointsState, _ report: inout VerificationReport, _ transaction: borrowing ReadTransaction
    ) throws {
        try walk(store.requests, "requests", &report, transaction) { key, value, report in
            let sequence = try RequestEntry.read(key, value).sequence
            guard sequence <= state.position.sequence else {
                throw ShardError.corrupted(reason: "write \(sequence), and the last one is \(state.position.sequence)")
            }
        }
    }

    // MARK: - Blocks

    private func verifyVectors(
        _ state: PointsState, _ report: inout VerificationReport, _ transaction: borrowing ReadTransaction
    ) throws {
        let blocks = Int(state.storedRows) / Format.rowsPerBlock
        for (number, space) in schema.spaces.enumerated() {
            let bytes = space.dimension * space.datatype.componentBytes * Format.rowsPerBlock
            for block in 0..<blocks {
                report.vectorBlocks += 1
                let name = "vectors: block \(block) of space \(number)"
                report.noting(name) { _ in
                    let key = Format.vectorBlockKey(space: number, block: block)
                    try check(try transaction.get(key, in: store.vectors), at: key, byteCount: bytes)
                }
                try pace(bytes)
            }
        }
    }

    private func check(_ value: UnsafeRawBufferPointer?, at key: [UInt8], byteCount: Int) throws {
        guard let value else { throw ShardError.corrupted(reason: "it is missing") }
        _ = try BlockValue.rows(of: value, byteCount: byteCount)
        guard BlockValue.isSound(value, at: key) else {
            throw ShardError.corrupted(reason: "the checksum does not match")
        }
    }

    private func verify(_ index: IndexStore, _ report: inout VerificationReport) throws {
        let pinned = try PinnedRead(index.environment)
        try pinned.read { transaction in
            for space in schema.spaces.indices {
                report.noting("index meta: space \(space)") { _ in _ = try index.storedRows(space: space, transaction) }
            }
            try walk(index.blocks, "index blocks", &report, transaction) { key, value, report in
                report.indexBlocks += 1
                guard BlockValue.isSound(value, at: [UInt8](copying: key)) else {
                    let name = key.map { String($0, radix: 16) }.joined(separator: " ")
                    throw ShardError.corrupted(reason: "the checksum of block \(name) does not match")
                }
                try pace(value.count)
            }
        }
    }

    // MARK: - Payload indexes

    private func verifyPayloadIndexes(
        _ report: inout VerificationReport, _ transaction: borrowing ReadTransaction
    ) throws {
        try walk(store.postings, "postings", &report, transaction) { key, value, report in
            report.indexEntries += 1
            _ = try PointStore.container((key: key, value: value))
        }
        var last: (index: UInt16, pair: NumberPair)?
        try walk(store.numbers, "numbers", &report, transaction) { key, value, report in
            report.indexEntries += 1
            let chunk = try NumberChunk(key, value)
            if let last, last.index == chunk.index, last.pair >= chunk.first {
                throw ShardError.corrupted(reason: "chunks of index \(chunk.index) overlap")
            }
            chunk.pairs.last.map { last = (chunk.index, $0) }
        }
    }

    // MARK: - Walking

    /// Calls `body` with every entry of a table, and notes what it throws; then compares the number of entries with that
    /// which LMDB keeps. What LMDB itself cannot read ends the walk.
    private func walk(
        _ table: Table, _ name: String, _ report: inout VerificationReport, _ transaction: borrowing ReadTransaction,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, inout VerificationReport) throws -> Void
    ) throws {
        var count: UInt64 = 0
        do {
            try transaction.withCursor(in: table) { cursor in
                var entry = try cursor.first()
                var former: [UInt8] = []
                while let (key, value) = entry {
                    count += 1
                    if count > 1, !former.lexicographicallyPrecedes(key) {
                        report.note("\(name): the keys of entries \(count - 1) and \(count) are not in order")
                    }
                    former.removeAll(keepingCapacity: true)
                    former.append(contentsOf: key)
                    do {
                        try body(key, value, &report)
                    } catch is CancellationError {
                        throw CancellationError()
                    } catch {
                        report.note("\(name): \(ShardError(storage: error))")
                    }
                    if count.isMultiple(of: 1_024) { try pace(0) }
                    entry = try cursor.next()
                }
            }
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            return report.note("\(name): after \(count) entries: \(ShardError(storage: error))")
        }
        let counted = try transaction.count(of: table)
        if count != counted { report.note("\(name): \(count) entries can be reached, and LMDB counts \(counted)") }
    }
}

internal import DataModel
internal import LMDB

/// One transaction of the writer: applies writes in order and keeps what they change in memory aside, so that a failed
/// commit leaves nothing behind.
struct GroupCommit {
    let store: PointStore
    let schema: ShardSchema
    private let vectors: [VectorRows]
    private(set) var state: PointsState
    private(set) var epochs: EpochHistory
    private var epochsChanged = false
    /// The layout that rows got which were copied in an order of their own.
    private(set) var newLayout: RowLayout?
    /// By space, then the rows that no point has.
    private var deleted: [DeletedSet.Editor]
    private var indexer: PayloadIndexer
    private let firstUnstoredBlock: Int
    let requests: RequestMemory
    /// The writes of this transaction that have names.
    var noted: [RequestName: NotedWrite] = [:]

    init(
        store: PointStore, schema: ShardSchema, vectors: [VectorRows], state: PointsState, epochs: EpochHistory,
        deleted: [DeletedSet], payloadIndexes: PayloadIndexCatalog, requests: RequestMemory
    ) {
        self.requests = requests
        self.store = store
        self.schema = schema
        self.vectors = vectors
        self.state = state
        self.epochs = epochs
        self.deleted = deleted.map { DeletedSet.Editor($0) }
        indexer = PayloadIndexer(payloadIndexes.entries.filter(\.isMaintained))
        firstUnstoredBlock = Int(state.storedRows) / Format.rowsPerBlock
    }

    var virtualShards: Int { schema.virtualShards }

    func location(of key: [UInt8], _ transaction: borrowing WriteTransaction) throws -> PointLocation? {
        try store.location(of: key, transaction)
    }

    /// Vector blocks that this transaction finished.
    var finishedBlocks: Range<Int> { firstUnstoredBlock..<Int(state.storedRows) / Format.rowsPerBlock }

    var deletedSets: [DeletedSet] { deleted.map { $0.finished() } }

    /// Applies one write and appends it to the log.
    ///
    /// - Precondition: the record follows the state's position.
    mutating func apply(_ record: LogRecord, _ transaction: borrowing WriteTransaction) throws {
        precondition(record.position.sequence == state.position.sequence.next)
        let entry = LogEntry.bytes(record, firstSlot: state.slotCount)
        try transaction.put(entry, at: record.position.sequence.rawValue, in: store.log, appends: true)
        state.logBytes += UInt64(entry.count)
        if epochs.note(record.position) { epochsChanged = true }

        let rowsBefore = state.storedRows
        switch record.operation {
        case .upsert(let points):
            for point in points { try upsert(point, version: record.position.sequence, transaction) }
        case .delete(let ids):
            for id in ids { try delete(id, transaction) }
        case .adopt(let points, let deleted, _):
            for point in points { try upsert(point.point, version: point.version, transaction) }
            for id in deleted { try delete(id, transaction) }
        case .deleteMatching:
            throw ShardError.invalid(reason: "a log holds a delete by filter")
        }
        // The rows of the unfinished block are in the log only. A write that crossed into a new block holds its first row;
        // when it ended on the boundary the next write will.
        if state.storedRows != rowsBefore {
            state.tailSequence =
                state.slotCount == state.storedRows ? record.position.sequence.next : record.position.sequence
        } else if state.slotCount == state.storedRows {
            state.tailSequence = record.position.sequence.next
        }
        state.position = record.position
        try noteRequests(of: record, transaction)
    }

    /// The operation as the log holds it: a delete by filter is one of the ids that pass at this place of the order, in
    /// parts of bounded size.
    ///
    /// - Parameters:
    ///   - extent: what the write is for.
    ///   - known: the rows that were found to pass before.
    func resolved(
        _ operation: WriteOperation, _ extent: WriteExtent, _ known: MatchingRows?, in generation: Int,
        _ transaction: borrowing WriteTransaction
    ) throws -> [WriteOperation] {
        guard case .deleteMatching(let filter) = operation, let dead = deleted.last else { return [operation] }
        let ids = try MatchingPoints(
            filter, known: known, generation: generation, store: store, schema: schema, transaction
        ).ids(slotCount: state.slotCount, isDead: dead.contains, transaction).filter(extent.contains)
        // None at all still takes a sequence: the write has its place in the order.
        guard ids.count > Limits.batchPoints else { return [.delete(ids)] }
        return stride(from: 0, to: ids.count, by: Limits.batchPoints).map { first in
            .delete(Array(ids[first..<min(first + Limits.batchPoints, ids.count)]))
        }
    }

    mutating func upsert(
        _ point: Point, version: SequenceNumber, _ transaction: borrowing WriteTransaction
    ) throws {
        guard state.slotCount < Limits.rowsPerShard else {
            throw ShardError.outOfSpace(reason: "a physical shard holds at most \(Limits.rowsPerShard) rows")
        }
        let key = PointLocation.key(of: point.id, virtualShards: schema.virtualShards)
        if let old = try store.location(of: key, transaction) {
            markDeleted(old.slot)
        } else {
            state.pointCount += 1
        }
        let slot = state.slotCount
        var spaces = SpaceSet()
        for (index, rows) in vectors.enumerated() {
            let values = point.vectors[schema.spaces[index].name]
            rows.write(values, at: slot)
            if values == nil { deleted[index].insert(slot) } else { spaces.insert(index) }
        }
        let row = PayloadRow.bytes(id: point.id, version: version, spaces: spaces, payload: point.payload, slot: slot)
        try transaction.put(row, at: slot, in: store.payloads, appends: true)
        let location = PointLocation(slot: slot, version: version)
        try transaction.put(key.withUnsafeBytes { location.bytes(at: $0) }, at: key, in: store.points)
        try point.payload.json.withUnsafeBytes { try indexer.add($0, slot: slot) }
        try finishRow(transaction)
    }

    /// Gives the present slot out, and stores the block that it was the last row of.
    private mutating func finishRow(_ transaction: borrowing WriteTransaction) throws {
        state.slotCount += 1
        if Int(state.slotCount) % Format.rowsPerBlock == 0 {
            for rows in vectors {
                try rows.store(
                    block: Int(state.slotCount) / Format.rowsPerBlock - 1, in: store.vectors, transaction)
            }
        }
    }

    mutating func delete(_ id: PointID, _ transaction: borrowing WriteTransaction) throws {
        let key = PointLocation.key(of: id, virtualShards: schema.virtualShards)
        guard let old = try store.location(of: key, transaction) else { return }
        markDeleted(old.slot)
        try transaction.delete(key, from: store.points)
        state.pointCount -= 1
    }

    private mutating func markDeleted(_ slot: UInt32) {
        for index in deleted.indices { deleted[index].insert(slot) }
    }

    /// Removes log entries that neither recovery nor a replica needs, oldest first.
    ///
    /// - Parameter needed: the sequence after which a replica still needs the log.
    mutating func trimLog(
        needed: SequenceNumber?, options: ShardOptions, _ transaction: borrowing WriteTransaction
    ) throws {
        guard state.logBytes > UInt64(options.retainedLogBytes) else { return }
        let isPinned = state.logBytes <= UInt64(options.maximumPinnedLogBytes)
        var state = state
        try transaction.withCursor(in: store.log) { cursor in
            var entry = try cursor.first()
            while let (key, value) = entry, state.logBytes > UInt64(options.retainedLogBytes), key.count == 8 {
                let sequence = SequenceNumber(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))
                if sequence >= state.tailSequence { break }
                if isPinned, let needed, sequence > needed { break }
                state.logBytes -= min(UInt64(value.count), state.logBytes)
                try cursor.deleteCurrent()
                state.firstLogged = sequence.next
                entry = try cursor.next()
            }
        }
        self.state = state
    }

    /// Writes what the transaction changed of the shard's own books; then it may commit.
    func finish(_ transaction: borrowing WriteTransaction) throws {
        for (space, editor) in deleted.enumerated() {
            for chunk in editor.touched {
                guard let bytes = editor.bytes(ofChunk: chunk) else { continue }
                try transaction.put(
                    Sealed.bytes([UInt8](copying: bytes), at: DeletedSet.number(space: space, chunk: chunk)),
                    at: Format.vectorBlockKey(space: space, block: chunk), in: store.deletions)
            }
        }
        try indexer.batch.write(to: store, transaction)
        try store.save(state, transaction)
        if epochsChanged { try store.save(epochs, transaction) }
        if let newLayout { try store.save(newLayout, transaction) }
    }
}

// MARK: - Rows of another generation

extension GroupCommit {
    /// Gives the next slot to a row of a former generation, as it is; its entry in `points` is to follow.
    ///
    /// - Parameter value: the entry of row `former` in `payloads`; `vectors` its vector by space.
    /// - Returns: the row's new slot.
    mutating func copy(
        _ value: UnsafeRawBufferPointer, at former: UInt32, vectors source: [UnsafeRawPointer], _ transaction: borrowing WriteTransaction
    ) throws -> UInt32 {
        let slot = state.slotCount
        let row = try PayloadRow(value, slot: former)
        for (space, rows) in vectors.enumerated() {
            rows.copy(source[space], to: slot)
            if !row.spaces.contains(space) { deleted[space].insert(slot) }
        }
        let bytes = try PayloadRow.bytes(value, from: former, to: slot)
        try transaction.put(bytes, at: slot, in: store.payloads, appends: true)
        try indexer.add(row.json, slot: slot)
        state.pointCount += 1
        try finishRow(transaction)
        return slot
    }

    /// Gives out the rest of the unfinished block as dead rows: opening then needs no entry of the log.
    mutating func fillBlock(_ transaction: borrowing WriteTransaction) throws {
        while state.slotCount != state.storedRows {
            guard state.slotCount < Limits.rowsPerShard else {
                throw ShardError.outOfSpace(reason: "a physical shard holds at most \(Limits.rowsPerShard) rows")
            }
            for rows in vectors { rows.write(nil, at: state.slotCount) }
            markDeleted(state.slotCount)
            try finishRow(transaction)
        }
    }

    /// Goes on from where `former` was, whose live rows and log have been copied into whole blocks.
    mutating func take(over former: PointsState, epochs: EpochHistory) {
        precondition(state.slotCount == state.storedRows)
        (state.position, state.firstLogged, state.logBytes) = (former.position, former.firstLogged, former.logBytes)
        state.tailSequence = former.position.sequence.next
        self.epochs = epochs
        epochsChanged = true
        newLayout = .unique()
    }
}

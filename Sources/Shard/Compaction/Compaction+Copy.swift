internal import DataModel
internal import LMDB
internal import Synchronization

extension Compaction {
    /// Rows of `points` that are copied in one transaction.
    private static let pointsPerBatch = 8_192

    /// Copies the live rows of the state that `pinned` sees, in order of slots, then `points` and the log.
    ///
    /// - Parameter tail: the vectors of that state that are in no finished block yet.
    func copy(_ pinned: PinnedRead, tail: UnfinishedRows) throws {
        try pinned.read { transaction in
            let state = try source.store.loadState(transaction)
            let slots = try copyRows(of: state, tail, transaction)
            try copyPoints(slots, transaction)
            try copy(source.store.log, to: target.store.log, transaction)
            try copy(source.store.requests, to: target.store.requests, transaction)
            let epochs = try source.store.loadEpochs(transaction)
            try target.commit { commit, transaction in
                try commit.fillBlock(transaction)
                commit.take(over: state, epochs: epochs)
            }
        }
    }

    /// - Returns: by former slot the new one; `UInt32.max` for dead rows.
    private func copyRows(
        of state: PointsState, _ tail: UnfinishedRows, _ transaction: borrowing ReadTransaction
    ) throws -> [UInt32] {
        let store = source.store
        var slots = [UInt32](repeating: .max, count: Int(state.slotCount))
        let deleted = try source.vectors.map { try store.loadDeletions(space: $0.space, transaction) }
        var blocks = VectorBlocks(source, storedRows: state.storedRows, tail: tail)
        try transaction.withCursor(in: store.payloads) { cursor in
            var entry = try cursor.first()
            while entry != nil {
                try target.commit { commit, writing in
                    var bytes = 0
                    while let (key, value) = entry, bytes < Self.batchBytes {
                        guard key.count == 4 else { throw ShardError.corrupted(reason: "a key of `payloads` is no slot") }
                        let slot = UInt32(bigEndian: key.loadUnaligned(as: UInt32.self))
                        guard slot < state.slotCount else {
                            throw ShardError.corrupted(reason: "`payloads` has row \(slot) of \(state.slotCount)")
                        }
                        if try isLive(slot, value, deleted, transaction) {
                            let vectors = try blocks.rows(at: slot, transaction)
                            slots[Int(slot)] = try commit.copy(value, at: slot, vectors: vectors, writing)
                            bytes += value.count + blocks.bytesPerRow
                        } else {
                            bytes += Self.bytesPerSkippedRow
                        }
                        entry = try cursor.next()
                    }
                }
                let done = entry.map { Int(UInt32(bigEndian: $0.key.loadUnaligned(as: UInt32.self))) }
                try report(.copying, done ?? Int(state.slotCount), of: Int(state.slotCount))
            }
        }
        return slots
    }

    /// A dead row counts for this much of a batch, so that the end of a long run of them is noticed too.
    private static var bytesPerSkippedRow: Int { 64 }

    /// A row without a vector in any space is marked in all of them like a deleted one: only `points` tells them apart.
    private func isLive(
        _ slot: UInt32, _ value: UnsafeRawBufferPointer, _ deleted: [DeletedSet],
        _ transaction: borrowing ReadTransaction
    ) throws -> Bool {
        if deleted.contains(where: { !$0.contains(slot) }) { return true }
        let key = PointLocation.key(of: try PayloadRow(value, slot: slot).id, virtualShards: source.schema.virtualShards)
        return try source.store.location(of: key, transaction)?.slot == slot
    }

    private func copyPoints(_ slots: [UInt32], _ transaction: borrowing ReadTransaction) throws {
        try transaction.withCursor(in: source.store.points) { cursor in
            var entry = try cursor.first()
            while entry != nil {
                try report(.copying, slots.count, of: slots.count)
                try target.store.environment.write { writing in
                    var count = 0
                    while let (key, value) = entry, count < Self.pointsPerBatch {
                        var location = try PointLocation(value, at: key)
                        guard Int(location.slot) < slots.count, slots[Int(location.slot)] != .max else {
                            throw ShardError.corrupted(reason: "`points` names row \(location.slot), which is not live")
                        }
                        location.slot = slots[Int(location.slot)]
                        let bytes = location.bytes(at: key)
                        try bytes.withUnsafeBytes {
                            try writing.put($0, at: key, in: target.store.points, appends: true)
                        }
                        count += 1
                        entry = try cursor.next()
                    }
                }
            }
        }
    }

    /// Copies a table whose keys are sequences. The slots in the log's entries stay those of the source: they only
    /// matter to the rows of an unfinished block, and there is none at that position.
    private func copy(_ table: Table, to copied: Table, _ transaction: borrowing ReadTransaction) throws {
        try transaction.withCursor(in: table) { cursor in
            var entry = try cursor.first()
            while entry != nil {
                try report(.copying, 1, of: 1)
                try target.store.environment.write { writing in
                    var bytes = 0
                    while let (key, value) = entry, bytes < Self.batchBytes {
                        try writing.put(value, at: key, in: copied, appends: true)
                        bytes += value.count
                        entry = try cursor.next()
                    }
                }
            }
        }
    }
}

internal import DataModel
internal import LMDB

/// Reads the rows of an index's values in one transaction, whose state the index must be complete in.
struct PostingsReader {
    let store: PointStore
    let index: UInt16
    /// Rows from here on came later than the view of the search. Most are left out here, all of them by the view.
    let slotLimit: UInt32

    /// Calls `body` with each container of the value, in order, until it returns false. The entries around them are checked
    /// too: one of the value's that got another key is there, or near.
    private func forEachContainer(
        of key: PostingKey, _ transaction: borrowing ReadTransaction, _ body: (ContainerValue, UInt16) -> Bool
    ) throws {
        try transaction.withCursor(in: store.postings) { cursor in
            let first = key.key(chunk: 0)
            var entry = try cursor.seek(first)
            if let before = try entry == nil ? cursor.last() : cursor.previous() {
                _ = try PointStore.container(before)
                entry = try cursor.next()
            }
            while let found = entry {
                let container = try PointStore.container(found)
                guard let chunk = key.chunk(ofKey: found.key), body(container, chunk) else { return }
                entry = try cursor.next()
            }
        }
    }

    /// The rows that have any of the values.
    func rows(of keys: [PostingKey], _ transaction: borrowing ReadTransaction) throws -> RowBitmap {
        var builder = RowBitmap.Builder()
        for key in keys {
            try forEachContainer(of: key, transaction) { container, chunk in
                guard UInt32(chunk) << 16 < slotLimit else { return false }
                builder.insert(container, chunk: chunk)
                return true
            }
        }
        return builder.finished()
    }

    func rows(_ rows: PostingKey.Rows, _ transaction: borrowing ReadTransaction) throws -> RowBitmap {
        try self.rows(of: [PostingKey(index: index, rows: rows)], transaction)
    }

    /// The number of rows, dead ones included, by the headers of their containers.
    func count(_ rows: PostingKey.Rows, _ transaction: borrowing ReadTransaction) throws -> Int {
        var count = 0
        try forEachContainer(of: PostingKey(index: index, rows: rows), transaction) { container, _ in
            count += container.count
            return true
        }
        return count
    }

    /// Calls `body` with each chunk of pairs that may have some with bits in the range, and with the indices of those.
    /// The chunks around them are checked too.
    private func forEachChunk(
        in range: ClosedRange<UInt64>, _ transaction: borrowing ReadTransaction, _ body: (NumberChunk, Range<Int>) -> Void
    ) throws {
        try transaction.withCursor(in: store.numbers) { cursor in
            var entry = try cursor.seek(
                NumberChunk.key(index: index, first: NumberPair(bits: range.lowerBound, slot: 0)))
            // The pairs may begin within the chunk before.
            if let before = try entry == nil ? cursor.last() : cursor.previous() { entry = before }
            while let (key, value) = entry {
                let chunk = try NumberChunk(key, value)
                if chunk.index == index {
                    let end = chunk.firstIndex(above: range.upperBound)
                    body(chunk, min(chunk.firstIndex(notBelow: range.lowerBound), end)..<end)
                    if end < chunk.count { return }
                } else if chunk.index > index {
                    return
                }
                entry = try cursor.next()
            }
        }
    }

    /// Calls `body` with each pair of bits and slot whose bits are in the range, in order.
    func forEachPair(
        in range: ClosedRange<UInt64>, _ transaction: borrowing ReadTransaction, _ body: (UInt64, UInt32) -> Void
    ) throws {
        try forEachChunk(in: range, transaction) { chunk, indices in
            for index in indices {
                let slot = chunk.slot(at: index)
                if slot < slotLimit { body(chunk.bits(at: index), slot) }
            }
        }
    }

    /// The rows that have a value in the range.
    ///
    /// - Complexity: linear in the values of the range, two to four nanoseconds each.
    func rows(in range: ClosedRange<UInt64>, _ transaction: borrowing ReadTransaction) throws -> RowBitmap {
        let chunks = (Int(slotLimit) + Container.rows - 1) / Container.rows
        var words = [UInt64](repeating: 0, count: chunks * Container.wordCount)
        try words.withUnsafeMutableBufferPointer { words in
            try forEachChunk(in: range, transaction) { chunk, indices in
                for index in indices {
                    let slot = chunk.slot(at: index)
                    if slot < slotLimit { words[Int(slot >> 6)] |= 1 << UInt64(slot & 63) }
                }
            }
        }
        return RowBitmap(words: words)
    }
}

extension PointStore {
    /// - Throws: `corrupted` when the entry of `postings` is not what was written.
    static func container(_ entry: Cursor.Entry) throws -> ContainerValue {
        try ContainerValue(
            try Sealed.contents(of: entry.value, at: Sealed.number(of: entry.key), "an entry of `postings`"))
    }

    /// The container at a key of `postings`, or nil.
    ///
    /// - Throws: `corrupted` too when it is not certain that there is none.
    func posting(at key: [UInt8], _ transaction: borrowing WriteTransaction) throws -> ContainerValue? {
        if let value = try transaction.get(key, in: postings) {
            return try key.withUnsafeBytes { try Self.container((key: $0, value: value)) }
        }
        try transaction.withNeighbours(of: key, in: postings) { before, after in
            for entry in [before, after] {
                if let entry { _ = try Self.container(entry) }
            }
        }
        return nil
    }
}

internal import DataModel
internal import LMDB

/// Reads the rows of an index's values in one transaction, whose state the index must be complete in.
struct PostingsReader {
    let store: PointStore
    let index: UInt16
    /// Rows from here on came later than the view of the search. Most are left out here, all of them by the view.
    let slotLimit: UInt32

    private func insert(
        _ key: PostingKey, into builder: inout RowBitmap.Builder, _ transaction: borrowing ReadTransaction
    ) throws {
        try transaction.withCursor(in: store.postings) { cursor in
            var entry = try cursor.seek(key.key(chunk: 0))
            while let (bytes, value) = entry, let chunk = key.chunk(ofKey: bytes) {
                guard UInt32(chunk) << 16 < slotLimit else { break }
                builder.insert(try ContainerValue(value), chunk: chunk)
                entry = try cursor.next()
            }
        }
    }

    /// The rows that have any of the values.
    func rows(of keys: [PostingKey], _ transaction: borrowing ReadTransaction) throws -> RowBitmap {
        var builder = RowBitmap.Builder()
        for key in keys { try insert(key, into: &builder, transaction) }
        return builder.finished()
    }

    func rows(_ rows: PostingKey.Rows, _ transaction: borrowing ReadTransaction) throws -> RowBitmap {
        try self.rows(of: [PostingKey(index: index, rows: rows)], transaction)
    }

    /// The number of rows, dead ones included, by the headers of their containers.
    func count(_ rows: PostingKey.Rows, _ transaction: borrowing ReadTransaction) throws -> Int {
        let key = PostingKey(index: index, rows: rows)
        var count = 0
        try transaction.withCursor(in: store.postings) { cursor in
            var entry = try cursor.seek(key.key(chunk: 0))
            while let (bytes, value) = entry, key.chunk(ofKey: bytes) != nil {
                count += try ContainerValue(value).count
                entry = try cursor.next()
            }
        }
        return count
    }

    /// Calls `body` with each pair of bits and slot whose bits are in the range, in order.
    func forEachPair(
        in range: ClosedRange<UInt64>, _ transaction: borrowing ReadTransaction, _ body: (UInt64, UInt32) -> Void
    ) throws {
        let lower = NumberPair.bytes(bits: range.lowerBound, slot: 0)
        try transaction.forEachRun(at: index, from: lower, in: store.numbers) { run in
            let pairs = try NumberPair.Run(run)
            let end = pairs.firstIndex(above: range.upperBound)
            for index in pairs.firstIndex(notBelow: range.lowerBound)..<end {
                let slot = pairs.slot(at: index)
                if slot < slotLimit { body(pairs.bits(at: index), slot) }
            }
            return end == pairs.count
        }
    }

    /// The rows that have a value in the range.
    ///
    /// - Complexity: linear in the values of the range, about a nanosecond each.
    func rows(in range: ClosedRange<UInt64>, _ transaction: borrowing ReadTransaction) throws -> RowBitmap {
        let chunks = (Int(slotLimit) + Container.rows - 1) / Container.rows
        var words = [UInt64](repeating: 0, count: chunks * Container.wordCount)
        let lower = NumberPair.bytes(bits: range.lowerBound, slot: 0)
        try words.withUnsafeMutableBufferPointer { words in
            try transaction.forEachRun(at: index, from: lower, in: store.numbers) { run in
                let pairs = try NumberPair.Run(run)
                let end = pairs.firstIndex(above: range.upperBound)
                for index in pairs.firstIndex(notBelow: range.lowerBound)..<end {
                    let slot = pairs.slot(at: index)
                    if slot < slotLimit { words[Int(slot >> 6)] |= 1 << UInt64(slot & 63) }
                }
                return end == pairs.count
            }
        }
        return RowBitmap(words: words)
    }
}

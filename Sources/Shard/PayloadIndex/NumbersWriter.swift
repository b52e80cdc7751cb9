internal import DataModel
internal import LMDB

/// Adds pairs to the chunks of one index in `numbers`.
struct NumbersWriter {
    let store: PointStore
    let index: UInt16

    /// The chunk that a pair belongs into, and where the next one begins.
    private struct Place {
        /// Nil when there is no chunk at all.
        var key: [UInt8]?
        var pairs: [NumberPair] = []
        /// Nil when it is the last one.
        var end: NumberPair?
    }

    /// - Parameter pairs: ascending. Those that are there already are left alone.
    func add(_ pairs: ArraySlice<NumberPair>, _ transaction: borrowing WriteTransaction) throws {
        var rest = pairs
        while let first = rest.first {
            let place = try place(of: first, transaction)
            let end = place.end.flatMap { end in rest.firstIndex { $0 >= end } } ?? rest.endIndex
            let merged = Self.merge(place.pairs, rest[..<end])
            if merged.count != place.pairs.count { try put(merged, in: place, transaction) }
            rest = rest[end...]
        }
    }

    private func place(of pair: NumberPair, _ transaction: borrowing WriteTransaction) throws -> Place {
        try transaction.withCursor(in: store.numbers) { cursor in
            let key = NumberChunk.key(index: index, first: pair)
            var after = try cursor.seek(key)
            if let (found, _) = after, found.elementsEqual(key) { after = try cursor.next() }
            let end = try chunk(after)
            if let (key, chunk) = try chunk(after == nil ? cursor.last() : cursor.previous()) {
                return Place(key: key, pairs: chunk.pairs, end: end?.chunk.first)
            }
            // Before all others: the first chunk gets a new key.
            guard let (key, chunk) = end else { return Place() }
            _ = try cursor.seek(key)
            return Place(key: key, pairs: chunk.pairs, end: try self.chunk(try cursor.next())?.chunk.first)
        }
    }

    /// The entry's key and chunk if it is one of this index; any entry is checked.
    private func chunk(_ entry: Cursor.Entry?) throws -> (key: [UInt8], chunk: NumberChunk)? {
        guard let entry else { return nil }
        let chunk = try NumberChunk(entry.key, entry.value)
        return chunk.index == index ? ([UInt8](copying: entry.key), chunk) : nil
    }

    private static func merge(_ old: [NumberPair], _ new: ArraySlice<NumberPair>) -> [NumberPair] {
        var merged: [NumberPair] = []
        merged.reserveCapacity(old.count + new.count)
        var (i, j) = (0, new.startIndex)
        while i < old.count || j < new.endIndex {
            let takesOld = j == new.endIndex || (i < old.count && old[i] <= new[j])
            let next = takesOld ? old[i] : new[j]
            if takesOld { i += 1 } else { j += 1 }
            if merged.last != next { merged.append(next) }
        }
        return merged
    }

    /// Replaces a chunk by as many as are needed. What is added behind all others, such as times of writing, fills chunks
    /// up; elsewhere room is left in each.
    private func put(_ pairs: [NumberPair], in place: Place, _ transaction: borrowing WriteTransaction) throws {
        let isAppended = place.end == nil && pairs.starts(with: place.pairs)
        let chunks = (pairs.count + NumberChunk.maximumPairs - 1) / NumberChunk.maximumPairs
        let size = isAppended ? NumberChunk.maximumPairs : (pairs.count + chunks - 1) / chunks
        if let former = place.key, former != NumberChunk.key(index: index, first: pairs[0]) {
            try transaction.delete(former, from: store.numbers)
        }
        for first in stride(from: 0, to: pairs.count, by: size) {
            let key = NumberChunk.key(index: index, first: pairs[first])
            let value = NumberChunk.value(pairs[first..<min(first + size, pairs.count)], at: key)
            try transaction.put(value, at: key, in: store.numbers)
        }
    }
}

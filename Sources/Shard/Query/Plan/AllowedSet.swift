internal import VectorIndex

/// The rows that a search may return, as plain bits: what the loops test.
final class AllowedSet {
    private let words: UnsafeMutablePointer<UInt64>
    private let wordCount: Int
    let count: Int

    /// The rows of `bitmap` below `slotCount` that are not deleted.
    init(_ bitmap: RowBitmap, without deleted: DeletedSet, slotCount: UInt32) {
        wordCount = (Int(slotCount) + 63) / 64
        words = .allocate(capacity: max(wordCount, 1))
        words.initialize(repeating: 0, count: max(wordCount, 1))
        for chunk in bitmap.chunks {
            let first = Int(chunk.number) * Container.wordCount
            let end = min(first + Container.wordCount, wordCount)
            guard first < end else { break }
            switch chunk.container {
            case .array(let values):
                for value in values where first + Int(value >> 6) < end {
                    words[first + Int(value >> 6)] |= 1 << UInt64(value & 63)
                }
            case .bits(let bits, _):
                for index in first..<end { words[index] = bits[index - first] }
            }
        }
        for (number, chunk) in deleted.chunks.enumerated() {
            guard let chunk else { continue }
            let first = number * DeletedSet.Chunk.wordCount
            for index in first..<max(first, min(first + DeletedSet.Chunk.wordCount, wordCount)) {
                words[index] &= ~chunk.words[index - first]
            }
        }
        if slotCount % 64 != 0 { words[wordCount - 1] &= 1 << UInt64(slotCount % 64) - 1 }
        var count = 0
        for index in 0..<wordCount { count += words[index].nonzeroBitCount }
        self.count = count
    }

    deinit { words.deallocate() }

    /// The set as the index reads it. Valid while the set lives.
    var rows: AllowedRows { AllowedRows(words: UnsafePointer(words), wordCount: wordCount) }

    func contains(_ slot: UInt32) -> Bool { rows.contains(slot) }

    /// The rows in `range`, ascending.
    func slots(in range: Range<UInt32>) -> [UInt32] {
        guard !range.isEmpty else { return [] }
        let words = Int(range.lowerBound >> 6)..<min(Int((range.upperBound - 1) >> 6) + 1, wordCount)
        guard !words.isEmpty else { return [] }
        return [UInt32](unsafeUninitializedCapacity: min(count, words.count * 64)) { slots, end in
            for index in words {
                var word = masked(index, to: range)
                let first = UInt32(index << 6)
                while word != 0 {
                    slots[end] = first | UInt32(truncatingIfNeeded: word.trailingZeroBitCount)
                    end &+= 1
                    word &= word &- 1
                }
            }
        }
    }

    /// The word, with only those of its rows that are in `range`.
    @inline(__always)
    private func masked(_ index: Int, to range: Range<UInt32>) -> UInt64 {
        var word = words[index]
        let first = index << 6
        if first < range.lowerBound { word &= .max << UInt64(Int(range.lowerBound) - first) }
        if first + 64 > range.upperBound { word &= .max >> UInt64(first + 64 - Int(range.upperBound)) }
        return word
    }
}

extension DeletedSet {
    /// The same set in the form that filters are computed with.
    var bitmap: RowBitmap {
        var builder = RowBitmap.Builder()
        for (number, chunk) in chunks.enumerated() {
            guard let chunk else { continue }
            let words = UnsafeBufferPointer(start: chunk.words, count: Chunk.wordCount)
            builder.insert(words, atWord: number * Chunk.wordCount)
        }
        return builder.finished()
    }
}

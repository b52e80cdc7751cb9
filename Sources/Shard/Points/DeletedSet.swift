internal import VectorIndex

/// Which rows of a vector space must not be returned: deleted, replaced, or without a vector in the space.
///
/// Immutable: a group commit makes a new set that shares the chunks it did not touch, so that a search sees the rows and
/// the deletions of one commit.
final class DeletedSet: @unchecked Sendable {
    // Sendable: nothing is written after init.

    /// 4 KiB of bits, one a row.
    final class Chunk: @unchecked Sendable {
        // Sendable: written only by the `Editor` that made it, before the set that holds it is published.
        let words: UnsafeMutablePointer<UInt64>
        static let wordCount = Format.deletionChunkBytes / 8

        init(copying other: Chunk?) {
            words = .allocate(capacity: Self.wordCount)
            if let other {
                words.initialize(from: other.words, count: Self.wordCount)
            } else {
                words.initialize(repeating: 0, count: Self.wordCount)
            }
        }

        deinit { words.deallocate() }

        var bytes: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: words, count: Format.deletionChunkBytes)
        }
    }

    let chunks: [Chunk?]
    /// Set bits.
    let count: Int
    private let table: UnsafeMutablePointer<UnsafeRawPointer?>

    init(chunks: [Chunk?], count: Int) {
        self.chunks = chunks
        self.count = count
        table = .allocate(capacity: max(chunks.count, 1))
        for (index, chunk) in chunks.enumerated() {
            (table + index).initialize(to: chunk.map { UnsafeRawPointer($0.words) })
        }
    }

    deinit { table.deallocate() }

    /// What a stored chunk is sealed with.
    static func number(space: Int, chunk: Int) -> UInt64 { UInt64(space) << 32 | UInt64(chunk) }

    static let empty = DeletedSet(chunks: [], count: 0)

    /// The set as the index reads it. Valid while the set lives.
    var rows: DeletedRows { DeletedRows(chunks: UnsafePointer(table), chunkCount: chunks.count) }

    func contains(_ slot: UInt32) -> Bool { Self.contains(slot, in: chunks) }

    private static func contains(_ slot: UInt32, in chunks: [Chunk?]) -> Bool {
        let chunk = Int(slot) / Format.rowsPerDeletionChunk
        guard chunk < chunks.count, let words = chunks[chunk]?.words else { return false }
        let bit = Int(slot) % Format.rowsPerDeletionChunk
        return words[bit >> 6] & (1 << UInt64(bit & 63)) != 0
    }

    /// Collects the changes of one group commit.
    struct Editor {
        private let original: DeletedSet
        private var chunks: [Chunk?]
        private var count: Int
        private(set) var touched: Set<Int> = []

        init(_ set: DeletedSet) {
            original = set
            chunks = set.chunks
            count = set.count
        }

        mutating func insert(_ slot: UInt32) {
            let index = Int(slot) / Format.rowsPerDeletionChunk
            while chunks.count <= index { chunks.append(nil) }
            let chunk: Chunk
            if touched.contains(index), let own = chunks[index] {
                chunk = own
            } else {
                chunk = Chunk(copying: chunks[index])
                chunks[index] = chunk
                touched.insert(index)
            }
            let bit = Int(slot) % Format.rowsPerDeletionChunk
            let mask: UInt64 = 1 << UInt64(bit & 63)
            if chunk.words[bit >> 6] & mask == 0 { count += 1 }
            chunk.words[bit >> 6] |= mask
        }

        func contains(_ slot: UInt32) -> Bool { DeletedSet.contains(slot, in: chunks) }

        func bytes(ofChunk index: Int) -> UnsafeRawBufferPointer? { chunks[index]?.bytes }

        func finished() -> DeletedSet { touched.isEmpty ? original : DeletedSet(chunks: chunks, count: count) }
    }
}

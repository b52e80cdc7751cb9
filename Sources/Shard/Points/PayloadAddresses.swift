internal import VectorIndex

/// Where in the map the entries of `payloads` are, as far as they were looked up before: a search turns ten slots into
/// answers, and each look-up in the tree costs a dozen cache misses.
///
/// An address is good for as long as the environment is open: entries are appended in the order of slots and never
/// change, so that LMDB touches only the last leaf page of the table; what is before that page stays where it is. Memory
/// for 256 rows, 2 KiB, comes with the first of them that is looked up.
final class PayloadAddresses: Sendable {
    /// A leaf page has the size of the system's, 4 to 64 KiB, and an entry on it takes 40 bytes at least: rows so far before
    /// the last one are not on the last page.
    private static let unsettledRows: UInt32 = 2_048

    /// Entries on pages of their own, which are longer, are looked up.
    private static let longest = 4_096

    /// The address in the low 48 bits, which is all that processors have, and the length above.
    private let words: Column
    private let readAhead = ReadAhead()

    init(maximumRows: Int) throws { words = try Column(rowBytes: 8, maximumRows: maximumRows) }

    func entry(at slot: UInt32) -> UnsafeRawBufferPointer? {
        let word = words.word(slot)
        guard word != 0 else { return nil }
        return UnsafeRawBufferPointer(
            start: UnsafeRawPointer(bitPattern: UInt(word & 0xFFFF_FFFF_FFFF)), count: Int(word >> 48))
    }

    /// Runs `body`, which looks up the entries of `rows`: all of them are asked for beforehand, of the processor and, when
    /// looking them up waits for the disk, of the kernel. One after the other, each would be waited for by itself.
    func prefetching<Result>(_ rows: [Neighbour], _ body: () throws -> Result) rethrows -> Result {
        words.prefetchWords(of: rows)
        return try readAhead.use(count: rows.count, { ask in forEachEntry(of: rows) { ask($0.baseAddress, $0.count) } }) {
            forEachEntry(of: rows) { prefetch($0, lines: Self.prefetchedLines) }
            return try body()
        }
    }

    private func forEachEntry(of rows: [Neighbour], _ body: (UnsafeRawBufferPointer) -> Void) {
        for row in rows { if let entry = entry(at: row.slot) { body(entry) } }
    }

    /// Of an entry; the processor itself fetches ahead from there.
    private static let prefetchedLines = 4

    /// Remembers the entry of a slot, one of `slotCount` that were committed when it was looked up.
    func note(_ entry: UnsafeRawBufferPointer, at slot: UInt32, slotCount: UInt32) {
        guard slotCount > Self.unsettledRows, slot < slotCount - Self.unsettledRows, entry.count <= Self.longest,
            let base = entry.baseAddress, UInt(bitPattern: base) >> 48 == 0
        else { return }
        words.setWord(UInt64(entry.count) << 48 | UInt64(UInt(bitPattern: base)), of: slot)
    }
}

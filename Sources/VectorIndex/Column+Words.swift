internal import CKernels

// Columns of 8-byte words that many threads read and write.

extension Column {
    /// The word of a row; 0 when its block is not there.
    @inline(__always)
    package func word(_ row: UInt32) -> UInt64 {
        self.row(row).map { shoal_load_acquire_u64($0) } ?? 0
    }

    package func setWord(_ word: UInt64, of row: UInt32) {
        shoal_store_release_u64(writableRow(row), word)
    }

    /// Asks the processor for the words of rows that are about to be read, all at once.
    package func prefetchWords(of rows: [Neighbour]) {
        for row in rows { shoal_prefetch(self.row(row.slot)) }
    }
}

/// Asks the processor for up to `lines` cache lines of `bytes`.
package func prefetch(_ bytes: UnsafeRawBufferPointer, lines: Int) {
    guard let base = bytes.baseAddress else { return }
    for line in 0..<min(lines, (bytes.count + 63) / 64) { shoal_prefetch(base + line * 64) }
}

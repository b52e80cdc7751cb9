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
}

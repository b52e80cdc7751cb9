internal import CKernels

/// A borrowed view of the set of deleted rows: chunks of 4 KiB, one bit for each of 32,768 rows.
///
/// Row `r` is bit `r & 63` of the 64-bit little-endian word `(r & 32767) >> 6` of chunk `r >> 15`. A missing chunk
/// means that none of its rows is deleted. Bits may be set while searches run. The owner keeps table and chunks alive.
package struct DeletedRows: @unchecked Sendable {
    // Sendable: read-only, and words are read atomically.
    package static let rowsPerChunk = 32_768
    package static let none = DeletedRows(chunks: nil, chunkCount: 0)

    private let chunks: UnsafePointer<UnsafeRawPointer?>?
    private let chunkCount: Int

    package init(chunks: UnsafePointer<UnsafeRawPointer?>, chunkCount: Int) {
        self.chunks = chunks
        self.chunkCount = chunkCount
    }

    private init(chunks: UnsafePointer<UnsafeRawPointer?>?, chunkCount: Int) {
        self.chunks = chunks
        self.chunkCount = chunkCount
    }

    /// Whether no row can be deleted.
    @inline(__always)
    package var isEmpty: Bool { chunkCount == 0 }

    @inline(__always)
    package func contains(_ slot: Slot) -> Bool {
        let number = Int(slot >> 15)
        guard number < chunkCount, let chunks, let chunk = shoal_load_acquire_pointer(chunks + number) else {
            return false
        }
        let word = shoal_load_relaxed_u32(chunk + Int((slot & 32_767) >> 5) * 4)
        return word >> (slot & 31) & 1 != 0
    }
}

internal import CKernels
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The dense number of a row in a column; for most columns, of a point inside one replica.
package typealias Slot = UInt32

/// Why an index cannot be set up.
package enum VectorIndexError: Error, Sendable, Equatable {
    /// The address space for a table of `bytes` could not be reserved.
    case reservationFailed(bytes: Int, errno: Int32)
    /// What was published from disk contradicts itself.
    case damaged(reason: String)
}

/// An array over slots, in blocks of 256 rows that may lie anywhere: mapped from a file, or on the heap.
///
/// The table of block pointers is one reservation of address space, so it never moves and readers need no lock. Writers
/// never touch a mapped or frozen block: they write into a heap copy that takes its place (the overlay).
package final class Column: @unchecked Sendable {
    // Sendable: the table and the states are read and written atomically, and change under `overlay`'s lock only.
    package static let rowsPerBlock = 256

    package let rowBytes: Int
    package let maximumRows: Int
    package var blockBytes: Int { rowBytes * Self.rowsPerBlock }

    /// `[maximumBlocks]` block pointers; nil where nothing was published.
    let table: UnsafeMutablePointer<UnsafeRawPointer?>
    /// `[maximumBlocks]` bytes behind the table: each block's `BlockState`.
    let states: UnsafeMutableRawPointer
    let maximumBlocks: Int
    let overlay = Mutex(Overlay())
    /// Blocks that were allocated and are not handed out by `takeRetired`; changed under `overlay`'s lock.
    let heapBlocks = Atomic<Int>(0)

    struct Overlay: @unchecked Sendable {
        // Sendable: guarded by the mutex that it lives in.
        /// Blocks from this number on have never been published.
        var usedBlocks = 0
        /// Heap blocks that no table names any more; readers of earlier times may.
        var retired: [UnsafeRawPointer] = []
    }

    /// Who owns a published block, and whether it may be written.
    enum BlockState: UInt8 {
        /// Nothing, or memory of the caller's.
        case foreign = 0
        /// A heap block of the column's that writers may change.
        case writable = 1
        /// A heap block of the column's that a checkpoint is reading.
        case frozen = 2
    }

    /// - Throws: `reservationFailed`.
    package init(rowBytes: Int, maximumRows: Int) throws(VectorIndexError) {
        precondition(rowBytes > 0 && maximumRows >= 0)
        self.rowBytes = rowBytes
        self.maximumRows = maximumRows
        maximumBlocks = max(1, (maximumRows + Self.rowsPerBlock - 1) / Self.rowsPerBlock)
        let bytes = Self.reservedBytes(blocks: maximumBlocks)
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let base = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), base != MAP_FAILED else {
            throw .reservationFailed(bytes: bytes, errno: errno)
        }
        table = base.bindMemory(to: UnsafeRawPointer?.self, capacity: maximumBlocks)
        states = base + maximumBlocks * MemoryLayout<UnsafeRawPointer?>.stride
    }

    deinit {
        overlay.withLock { overlay in
            for block in overlay.retired { block.deallocate() }
            for number in 0..<overlay.usedBlocks where state(number) != .foreign { table[number]?.deallocate() }
        }
        munmap(table, Self.reservedBytes(blocks: maximumBlocks))
    }

    private static func reservedBytes(blocks: Int) -> Int { blocks * (MemoryLayout<UnsafeRawPointer?>.stride + 1) }

    /// The block's rows, or nil when there are none yet.
    @inline(__always)
    package func block(_ number: Int) -> UnsafeRawPointer? {
        precondition(number >= 0 && number < maximumBlocks)
        return shoal_load_acquire_pointer(table + number)
    }

    /// The row, or nil when its block is not there yet.
    @inline(__always)
    package func row(_ row: UInt32) -> UnsafeRawPointer? {
        block(Int(row) / Self.rowsPerBlock).map { $0 + Int(row) % Self.rowsPerBlock * rowBytes }
    }

    @inline(__always)
    func state(_ number: Int) -> BlockState {
        BlockState(rawValue: shoal_load_acquire_u8(states + number)) ?? .foreign
    }

    func set(_ state: BlockState, of number: Int) { shoal_store_release_u8(states + number, state.rawValue) }
}

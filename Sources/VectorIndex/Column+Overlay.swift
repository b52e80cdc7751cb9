internal import CKernels
internal import Synchronization

// The overlay. A block of the column's own is born writable, is frozen by a checkpoint, and ends on the retired list:
// when the checkpoint's mapped block takes its place, or, when it was written again meanwhile, as soon as the
// checkpoint hands it back. Nobody frees it before the readers of that time are gone.

/// A block that a checkpoint has to write.
package struct DirtyBlock: @unchecked Sendable {
    // Sendable: the memory does not change while the block is frozen.
    package let number: Int
    /// `blockBytes` bytes, valid until the block is passed to `replace` or `thaw`.
    package let pointer: UnsafeRawPointer
}

/// Heap blocks that no table names any more; freed with this object.
package final class RetiredBlocks: @unchecked Sendable {
    // Sendable: immutable, and the pointers are only ever freed.
    package let count: Int
    private let blocks: [UnsafeRawPointer]

    init(_ blocks: [UnsafeRawPointer]) {
        self.blocks = blocks
        count = blocks.count
    }

    deinit {
        for block in blocks { block.deallocate() }
    }
}

extension Column {
    /// Publishes a block that the caller owns and keeps alive, such as a mapped one. A heap block of the column's own
    /// that it replaces is retired.
    ///
    /// - Precondition: nobody writes into the block at the moment, and no checkpoint holds it.
    package func publish(_ pointer: UnsafeRawPointer, asBlock number: Int) {
        precondition(number >= 0 && number < maximumBlocks)
        overlay.withLock { overlay in
            if state(number) != .foreign, let old = block(number) { overlay.retired.append(old) }
            install(pointer, as: .foreign, number: number, in: &overlay)
        }
    }

    /// The address of a row in a heap block of the column's own, which is made (zeroed) or copied from the published
    /// one when there is none.
    ///
    /// - Precondition: no `freezeDirty` runs; writers of one row exclude each other.
    @inline(__always)
    package func writableRow(_ row: UInt32) -> UnsafeMutableRawPointer {
        writableBlock(Int(row) / Self.rowsPerBlock) + Int(row) % Self.rowsPerBlock * rowBytes
    }

    /// The address of the rows of a heap block, under the same conditions.
    @inline(__always)
    package func writableBlock(_ number: Int) -> UnsafeMutableRawPointer {
        precondition(number < maximumBlocks)
        if state(number) == .writable, let block = block(number) { return UnsafeMutableRawPointer(mutating: block) }
        return makeWritable(number)
    }

    @inline(never)
    private func makeWritable(_ number: Int) -> UnsafeMutableRawPointer {
        let address = overlay.withLock { overlay in
            let old = block(number)
            if state(number) == .writable, let old { return UInt(bitPattern: old) }
            let new = UnsafeMutableRawPointer.allocate(byteCount: blockBytes, alignment: 64)
            heapBlocks.add(1, ordering: .relaxed)
            if let old {
                new.copyMemory(from: old, byteCount: blockBytes)
            } else {
                new.initializeMemory(as: UInt8.self, repeating: 0, count: blockBytes)
            }
            // A frozen block is not retired here: its checkpoint still reads it, and retires it in `replace` or `thaw`.
            install(UnsafeRawPointer(new), as: .writable, number: number, in: &overlay)
            return UInt(bitPattern: new)
        }
        guard let pointer = UnsafeMutableRawPointer(bitPattern: address) else { preconditionFailure("no block") }
        return pointer
    }

    /// Makes all blocks that were written since the last time unwritable, and returns them in ascending order.
    ///
    /// - Precondition: no writer is in flight, and the blocks of the call before went to `replace` or `thaw`.
    package func freezeDirty() -> [DirtyBlock] {
        overlay.withLock { overlay in
            var dirty: [DirtyBlock] = []
            for number in 0..<overlay.usedBlocks where state(number) == .writable {
                guard let pointer = block(number) else { continue }
                set(.frozen, of: number)
                dirty.append(DirtyBlock(number: number, pointer: pointer))
            }
            return dirty
        }
    }

    /// Publishes `mapped`, the durable copy of `frozen`, unless the block was written again since; then the next
    /// checkpoint has it. Either way `frozen` is retired.
    ///
    /// - Returns: whether `mapped` is published.
    @discardableResult
    package func replace(_ frozen: DirtyBlock, with mapped: UnsafeRawPointer) -> Bool {
        overlay.withLock { overlay in
            overlay.retired.append(frozen.pointer)
            guard block(frozen.number) == frozen.pointer else { return false }
            install(mapped, as: .foreign, number: frozen.number, in: &overlay)
            return true
        }
    }

    /// Takes blocks back whose checkpoint failed: they are dirty again.
    package func thaw(_ frozen: [DirtyBlock]) {
        overlay.withLock { overlay in
            for frozen in frozen {
                if block(frozen.number) == frozen.pointer {
                    set(.writable, of: frozen.number)
                } else {
                    overlay.retired.append(frozen.pointer)
                }
            }
        }
    }

    /// The heap blocks that went out of use since the last call, or nil when there are none. Hold the result until all
    /// readers of now are gone.
    package func takeRetired() -> RetiredBlocks? {
        overlay.withLock { overlay in
            guard !overlay.retired.isEmpty else { return nil }
            defer { overlay.retired = [] }
            heapBlocks.subtract(overlay.retired.count, ordering: .relaxed)
            return RetiredBlocks(overlay.retired)
        }
    }

    /// Bytes of heap blocks: those that no checkpoint has stored yet, and retired ones that nobody has taken yet.
    package var heapBytes: Int { heapBlocks.load(ordering: .relaxed) * blockBytes }

    private func install(_ pointer: UnsafeRawPointer, as state: BlockState, number: Int, in overlay: inout Overlay) {
        // The pointer first: a writer that sees the state `writable` must find the writable block.
        if state != .writable { set(state, of: number) }
        shoal_store_release_pointer(table + number, pointer)
        if state == .writable { set(state, of: number) }
        overlay.usedBlocks = max(overlay.usedBlocks, number + 1)
    }
}

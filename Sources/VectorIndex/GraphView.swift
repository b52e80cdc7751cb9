internal import CKernels

/// The graph's links as raw pointers, for the loops: no object is touched, no reference counted.
///
/// Valid as long as the columns are.
struct GraphView: @unchecked Sendable {
    // Sendable: immutable; what the pointers lead to is read atomically.
    let levelZeroTable: UnsafePointer<UnsafeRawPointer?>
    let nodeTable: UnsafePointer<UnsafeRawPointer?>
    let upperTable: UnsafePointer<UnsafeRawPointer?>
    let m: Int

    init(levelZero: Column, nodes: Column, upper: Column, m: Int) {
        levelZeroTable = UnsafePointer(levelZero.table)
        nodeTable = UnsafePointer(nodes.table)
        upperTable = UnsafePointer(upper.table)
        self.m = m
    }

    /// How many links a row has room for.
    @inline(__always)
    func capacity(level: Int) -> Int { level == 0 ? m &* 2 : m }

    /// The row's links in a layer, `capacity(level:)` words; nil when it has none there.
    @inline(__always)
    func links(of slot: Slot, level: Int, upperRows: UInt32) -> UnsafeRawPointer? {
        if level == 0 { return row(slot, of: levelZeroTable, stride: m &* 8) }
        guard let row = upperRow(of: slot, level: level), row < upperRows else { return nil }
        return self.row(row, of: upperTable, stride: m &* 4)
    }

    /// The number of the row's links in `upperLinks`.
    @inline(__always)
    func upperRow(of slot: Slot, level: Int) -> UInt32? {
        guard let node = row(slot, of: nodeTable, stride: 8), level <= Int(shoal_load_relaxed_u32(node)) else {
            return nil
        }
        return shoal_load_relaxed_u32(node + 4) &+ UInt32(truncatingIfNeeded: level &- 1)
    }

    @inline(__always)
    private func row(
        _ row: UInt32, of table: UnsafePointer<UnsafeRawPointer?>, stride: Int
    ) -> UnsafeRawPointer? {
        guard let block = shoal_load_acquire_pointer(table + Int(row >> 8)) else { return nil }
        return block + Int(row & 255) &* stride
    }
}

internal import CKernels
internal import DataModel

/// How a query is compared with the rows of one column, as raw pointers for the loops: no object is touched, no reference
/// counted.
///
/// Valid as long as the column is.
struct Comparison: @unchecked Sendable {
    // Sendable: immutable; what the pointers lead to is read atomically.
    enum Encoding {
        case float32
        case float16
        case uint8
        /// 8-bit codes: the query is a `shoal_code_query`.
        case codes
        /// 1-bit codes: the query is a `shoal_bit_query`.
        case bits
    }

    let table: UnsafePointer<UnsafeRawPointer?>
    let stride: Int
    let dimension: Int
    let encoding: Encoding
    /// Whether rows are not of unit length though only their directions count.
    let normalisesRows: Bool
    private let kernel: shoal_rows_kernel

    init(
        _ column: Column, stride: Int, dimension: Int, encoding: Encoding, normalisesRows: Bool = false,
        kernel: @escaping shoal_rows_kernel
    ) {
        table = UnsafePointer(column.table)
        self.stride = stride
        self.dimension = dimension
        self.encoding = encoding
        self.normalisesRows = normalisesRows
        self.kernel = kernel
    }

    /// The distances of a query, in the form that the encoding wants, to `count` rows.
    @inline(__always)
    func computeDistances(
        from query: UnsafeRawPointer, to slots: UnsafePointer<Slot>, count: Int,
        into distances: UnsafeMutablePointer<Float>
    ) {
        kernel(query, dimension, table, stride, slots, count, distances)
    }

    @inline(__always)
    func block(of slot: Slot) -> UnsafeRawPointer? { shoal_load_acquire_pointer(table + Int(slot >> 8)) }

    @inline(__always)
    func row(_ slot: Slot) -> UnsafeRawPointer? { block(of: slot).map { $0 + Int(slot & 255) &* stride } }

    /// Where the correction of the row's code is, 8 bytes; nil for raw vectors.
    func correction(of slot: Slot) -> UnsafeRawPointer? {
        guard encoding == .codes || encoding == .bits, let block = block(of: slot) else { return nil }
        return block + Column.rowsPerBlock &* stride + Int(slot & 255) &* MemoryLayout<shoal_code_correction>.stride
    }

    /// The row's components; of codes, nothing.
    func decode(_ row: UnsafeRawPointer, into floats: UnsafeMutablePointer<Float>) {
        switch encoding {
        case .float32: UnsafeMutableRawPointer(floats).copyMemory(from: row, byteCount: dimension * 4)
        case .float16: shoal_from_float16(row.assumingMemoryBound(to: UInt16.self), floats, dimension)
        case .uint8: shoal_from_uint8(row.assumingMemoryBound(to: UInt8.self), floats, dimension)
        case .codes, .bits: preconditionFailure("codes are not decoded")
        }
        if normalisesRows { normalise(floats, dimension: dimension) }
    }
}

/// A row in the place of a query, as insertions compare them. Owns the memory that this takes; `destroy` frees it.
struct RowQuery {
    private let comparison: Comparison
    private let floats: UnsafeMutablePointer<Float>
    private let codes: UnsafeMutablePointer<shoal_code_query>

    init(_ comparison: Comparison) {
        self.comparison = comparison
        floats = .allocate(capacity: comparison.dimension)
        codes = .allocate(capacity: 1)
    }

    func destroy() {
        floats.deallocate()
        codes.deallocate()
    }

    /// The row as a query, valid until the next call; nil when its block is not there.
    @inline(__always)
    func load(_ slot: Slot) -> UnsafeRawPointer? {
        guard let block = comparison.block(of: slot) else { return nil }
        let row = block + Int(slot & 255) &* comparison.stride
        switch comparison.encoding {
        case .float32:
            return row
        case .codes:
            guard let correction = comparison.correction(of: slot) else { return nil }
            codes.initialize(
                to: shoal_code_query(
                    codes: row.assumingMemoryBound(to: Int8.self),
                    correction: correction.assumingMemoryBound(to: shoal_code_correction.self).pointee))
            return UnsafeRawPointer(codes)
        case .float16, .uint8:
            comparison.decode(row, into: floats)
            return UnsafeRawPointer(floats)
        case .bits:
            preconditionFailure("1-bit codes are too coarse to build on")
        }
    }
}

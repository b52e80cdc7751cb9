internal import CKernels
internal import DataModel

/// A column of codes, which the graph walk compares in place of raw vectors.
///
/// A block holds 256 rows of `stride` bytes, and behind them 256 corrections of 8 bytes: so the rows keep to cache lines,
/// and a block is still one value of the store.
final class CodeRows: Sendable {
    enum Codebook: Sendable {
        case scalar
        case binary(BitCodebook)
    }

    let column: Column
    let codebook: Codebook
    /// Bytes of a row's codes.
    private let stride: Int
    private let raw: Comparison
    private let metric: Metric

    static let correctionBytes = 8

    /// - Throws: `reservationFailed`.
    init(
        _ codebook: Codebook, raw: RawRows, maximumRows: Int
    ) throws(VectorIndexError) {
        self.codebook = codebook
        self.raw = raw.comparison
        metric = Metric(raw.distance)
        stride = Self.stride(codebook, dimension: raw.dimension)
        column = try Column(rowBytes: stride + Self.correctionBytes, maximumRows: maximumRows)
    }

    private static func stride(_ codebook: Codebook, dimension: Int) -> Int {
        switch codebook {
        // Whole vector registers, so that the kernels have no tails.
        case .scalar: (dimension + 31) / 32 * 32
        case .binary(let book): book.paddedDimension / 8
        }
    }

    /// Whether the codes are exact enough to choose neighbours by them.
    var canBuild: Bool {
        if case .scalar = codebook { return true }
        return false
    }

    var comparison: Comparison {
        let kernels = shoal_kernels_best().pointee
        let isDot = metric == .innerProduct
        return switch codebook {
        case .scalar:
            Comparison(
                column, stride: stride, dimension: raw.dimension, encoding: .codes,
                kernel: isDot ? kernels.code_dot : kernels.code_squared_l2)
        case .binary:
            Comparison(
                column, stride: stride, dimension: raw.dimension, encoding: .bits,
                kernel: isDot ? kernels.bit_dot : kernels.bit_squared_l2)
        }
    }

    /// Makes the row's codes from its raw vector, which is published. By the one thread that inserts the row.
    func encode(_ slot: Slot) {
        guard let source = raw.row(slot) else { preconditionFailure("a row is encoded before its vector is there") }
        let block = column.writableBlock(Int(slot) / Column.rowsPerBlock)
        let number = Int(slot) % Column.rowsPerBlock
        let codes = block + number * stride
        let correction = block + Column.rowsPerBlock * stride + number * Self.correctionBytes
        withUnsafeTemporaryAllocation(of: Float.self, capacity: raw.dimension) { buffer in
            guard let floats = buffer.baseAddress else { return }
            raw.decode(source, into: floats)
            switch codebook {
            case .scalar:
                let made = shoal_encode_codes(floats, raw.dimension, codes.assumingMemoryBound(to: Int8.self), stride)
                correction.storeBytes(of: made, as: shoal_code_correction.self)
            case .binary(let book):
                let made = book.encode(floats, metric: metric, into: codes.assumingMemoryBound(to: UInt64.self))
                correction.storeBytes(of: made, as: shoal_bit_correction.self)
            }
        }
    }

    /// Makes the block of a row that has no vector.
    func skip(_ slot: Slot) { _ = column.writableBlock(Int(slot) / Column.rowsPerBlock) }

    /// Runs `body` with a query of `dimension` floats in the form that the codes are compared with.
    func withQuery<R>(_ query: UnsafePointer<Float>, _ body: (UnsafeRawPointer) -> R) -> R {
        switch codebook {
        case .scalar:
            withUnsafeTemporaryAllocation(of: Int8.self, capacity: stride) { buffer in
                guard let codes = buffer.baseAddress else { preconditionFailure("no stride") }
                let correction = shoal_encode_codes(query, raw.dimension, codes, stride)
                var prepared = shoal_code_query(codes: codes, correction: correction)
                return withUnsafePointer(to: &prepared) { body(UnsafeRawPointer($0)) }
            }
        case .binary(let book):
            book.withQuery(query, metric: metric, body)
        }
    }
}

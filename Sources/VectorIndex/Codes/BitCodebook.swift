internal import CKernels

/// The centre and the rotation of 1-bit codes.
///
/// J. Gao, C. Long: RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound for Approximate Nearest
/// Neighbor Search, SIGMOD 2024. A vector's code is the signs of its rotated residual from the centre (section 3.1); with
/// a factor of its own the code gives an unbiased estimate of inner products, with an error of O(1/sqrt(dimension))
/// (section 3.2, theorem 3.2).
package struct BitCodebook: Sendable, Equatable {
    /// `dimension` floats: about the mean of all vectors. The nearer it is, the shorter the residuals and their errors.
    package let centre: [Float]
    /// Decides the rotation.
    package let seed: UInt64
    /// How many rows the centre is the mean of.
    package let trainedRows: UInt32
    let paddedDimension: Int
    private let signs: [UInt64]
    private let squaredCentre: Float

    package init(centre: [Float], seed: UInt64, trainedRows: UInt32) {
        self.centre = centre
        self.seed = seed
        self.trainedRows = trainedRows
        paddedDimension = (centre.count + 63) / 64 * 64
        signs = (0..<Int(SHOAL_ROTATION_ROUNDS) * paddedDimension / 64).map { splitMix(seed, UInt64($0)) }
        squaredCentre = centre.reduce(0) { $0 + $1 * $1 }
    }

    /// Writes the code of a vector, `paddedDimension` bits.
    func encode(
        _ vector: UnsafePointer<Float>, metric: Metric, into bits: UnsafeMutablePointer<UInt64>
    ) -> shoal_bit_correction {
        withRotatedResidual(vector) { rotated, inner, squared in
            let sum = shoal_encode_bits(rotated, paddedDimension, bits)
            return shoal_bit_correction(
                factor: sum > 0 ? squared / sum : 0, bias: metric == .innerProduct ? inner : squared)
        }
    }

    func withQuery<R>(_ query: UnsafePointer<Float>, metric: Metric, _ body: (UnsafeRawPointer) -> R) -> R {
        withRotatedResidual(query) { rotated, inner, squared in
            let words = Int(SHOAL_BIT_PLANES) * paddedDimension / 64
            return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: words) { buffer in
                guard let planes = buffer.baseAddress else { preconditionFailure("no planes") }
                var prepared = shoal_bit_query(planes: planes, lowest: 0, step: 0, sum: 0, bias: 0)
                shoal_prepare_bit_query(rotated, paddedDimension, planes, &prepared)
                prepared.bias = metric == .innerProduct ? inner - squaredCentre : squared
                return withUnsafePointer(to: &prepared) { body(UnsafeRawPointer($0)) }
            }
        }
    }

    /// Runs `body` with the rotated residual of a vector, its inner product with the centre, and the residual's squared
    /// length.
    private func withRotatedResidual<R>(
        _ vector: UnsafePointer<Float>, _ body: (UnsafeMutablePointer<Float>, Float, Float) -> R
    ) -> R {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: paddedDimension) { buffer in
            guard let residual = buffer.baseAddress else { preconditionFailure("no dimension") }
            residual.initialize(repeating: 0, count: paddedDimension)
            var (inner, squared) = (Float(0), Float(0))
            for index in centre.indices {
                let difference = vector[index] - centre[index]
                residual[index] = difference
                inner += vector[index] * centre[index]
                squared += difference * difference
            }
            signs.withUnsafeBufferPointer { signs in
                if let base = signs.baseAddress { shoal_rotate(residual, paddedDimension, base) }
            }
            return body(residual, inner, squared)
        }
    }
}

/// Number `index` of the SplitMix64 sequence of a seed.
func splitMix(_ seed: UInt64, _ index: UInt64) -> UInt64 {
    var bits = seed &+ (index &+ 1) &* 0x9E37_79B9_7F4A_7C15
    bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
    return bits ^ bits >> 31
}

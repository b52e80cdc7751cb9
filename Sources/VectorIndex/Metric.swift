internal import CKernels
package import DataModel

/// How the index compares vectors: always as a distance, of which the smaller is the nearer.
package enum Metric: Sendable {
    /// The negated inner product.
    case innerProduct
    case squaredEuclid
    case manhattan

    package init(_ distance: Distance) {
        switch distance {
        case .cosine, .dot: self = .innerProduct
        case .euclid: self = .squaredEuclid
        case .manhattan: self = .manhattan
        }
    }

    func rowsKernel(of kernels: UnsafePointer<shoal_kernels>) -> shoal_rows_kernel {
        switch self {
        case .innerProduct: kernels.pointee.dot_rows
        case .squaredEuclid: kernels.pointee.squared_l2_rows
        case .manhattan: kernels.pointee.l1_rows
        }
    }
}

extension Distance {
    /// Whether vectors and queries are scaled to unit length before they come to the index.
    package var normalisesVectors: Bool { self == .cosine }

    /// The score that the API shows for a distance of the index.
    package func score(fromIndexDistance distance: Float) -> Float {
        switch self {
        case .cosine, .dot: -distance
        case .euclid: distance.squareRoot()
        case .manhattan: distance
        }
    }
}

/// Scales a vector of `dimension` floats to unit length.
///
/// - Returns: false, with the vector unchanged, when its length is zero or not finite.
@discardableResult
package func normalise(_ vector: UnsafeMutablePointer<Float>, dimension: Int) -> Bool {
    shoal_normalise(vector, dimension) != 0
}

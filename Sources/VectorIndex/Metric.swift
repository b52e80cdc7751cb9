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

    /// The kernel for raw rows; `normalisesRows` for rows of which only the direction counts.
    func kernel(
        _ datatype: VectorDatatype, normalisesRows: Bool, of kernels: UnsafePointer<shoal_kernels>
    ) -> shoal_rows_kernel {
        let set =
            switch datatype {
            case .float32: kernels.pointee.float32
            case .float16: kernels.pointee.float16
            case .uint8: kernels.pointee.uint8
            }
        return switch self {
        case .innerProduct: normalisesRows ? set.cosine : set.dot
        case .squaredEuclid: set.squared_l2
        case .manhattan: set.l1
        }
    }
}

extension Distance {
    /// Whether queries are scaled to unit length before they come to the index.
    package var normalisesVectors: Bool { self == .cosine }

    /// Whether vectors are scaled to unit length before they are stored. Components of `uint8` would vanish by that: their
    /// length is divided out by each comparison.
    package func normalisesRows(of datatype: VectorDatatype) -> Bool { self == .cosine && datatype != .uint8 }

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

internal import CKernels
package import DataModel

/// A column of raw vectors of one type.
package struct RawRows: Sendable {
    package let column: Column
    package let dimension: Int
    package let datatype: VectorDatatype
    package let distance: Distance

    /// - Throws: `reservationFailed`.
    package init(
        dimension: Int, datatype: VectorDatatype, distance: Distance, maximumRows: Int
    ) throws(VectorIndexError) {
        precondition(dimension > 0)
        column = try Column(rowBytes: dimension * datatype.componentBytes, maximumRows: maximumRows)
        self.dimension = dimension
        self.datatype = datatype
        self.distance = distance
    }

    /// Stores a vector of `dimension` floats, scaled to unit length where the distance wants it; nil stores zeros.
    ///
    /// - Precondition: no reader knows of the row yet, and no other writer of it.
    package func write(_ values: UnsafePointer<Float>?, at slot: Slot) {
        let row = column.writableRow(slot)
        guard let values else {
            row.initializeMemory(as: UInt8.self, repeating: 0, count: column.rowBytes)
            return
        }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: dimension) { buffer in
            guard let floats = buffer.baseAddress else { return }
            floats.initialize(from: values, count: dimension)
            if distance.normalisesRows(of: datatype) { normalise(floats, dimension: dimension) }
            switch datatype {
            case .float32: row.copyMemory(from: floats, byteCount: dimension * 4)
            case .float16: shoal_to_float16(floats, row.assumingMemoryBound(to: UInt16.self), dimension)
            case .uint8: shoal_to_uint8(floats, row.assumingMemoryBound(to: UInt8.self), dimension)
            }
        }
    }

    /// The vector of a row, as it is stored; nil when its block is not there.
    package func values(at slot: Slot) -> [Float]? {
        guard let row = column.row(slot) else { return nil }
        return Array(unsafeUninitializedCapacity: dimension) { buffer, count in
            guard let floats = buffer.baseAddress else { return }
            switch datatype {
            case .float32: UnsafeMutableRawPointer(floats).copyMemory(from: row, byteCount: dimension * 4)
            case .float16: shoal_from_float16(row.assumingMemoryBound(to: UInt16.self), floats, dimension)
            case .uint8: shoal_from_uint8(row.assumingMemoryBound(to: UInt8.self), floats, dimension)
            }
            count = dimension
        }
    }

    var comparison: Comparison {
        let normalises = distance.normalisesVectors && !distance.normalisesRows(of: datatype)
        let encoding: Comparison.Encoding =
            switch datatype {
            case .float32: .float32
            case .float16: .float16
            case .uint8: .uint8
            }
        return Comparison(
            column, stride: column.rowBytes, dimension: dimension, encoding: encoding, normalisesRows: normalises,
            kernel: Metric(distance).kernel(datatype, normalisesRows: normalises, of: shoal_kernels_best()))
    }
}

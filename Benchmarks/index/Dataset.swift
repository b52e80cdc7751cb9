internal import Foundation
internal import VectorIndex

/// The benchmark's input: unit vectors, queries, and the true neighbours of each query.
struct Dataset {
    let dimension: Int
    /// `[count x dimension]`, row-major.
    let base: [Float]
    let queries: [Float]
    /// The queries at unit length.
    let unitQueries: [Float]
    /// `[queryCount x truthWidth]`, nearest first.
    let truth: [UInt32]
    let truthWidth: Int

    var count: Int { base.count / dimension }
    var queryCount: Int { queries.count / dimension }

    init(folder: String) throws {
        let base = try NumpyFile(path: folder + "/wordnet.base.f16.npy", dtype: "<f2")
        let queries = try NumpyFile(path: folder + "/wordnet.queries.f16.npy", dtype: "<f2")
        let truth = try NumpyFile(path: folder + "/wordnet.gt100.u32.npy", dtype: "<u4")
        dimension = base.columns
        self.base = base.values(of: Float16.self).map { Float($0) }
        self.queries = queries.values(of: Float16.self).map { Float($0) }
        self.truth = truth.values(of: UInt32.self)
        truthWidth = truth.columns
        var units = self.queries
        units.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            for query in 0..<queries.rows { normalise(start + query * base.columns, dimension: base.columns) }
        }
        unitQueries = units
    }
}

/// A matrix in NumPy's `.npy` format, version 1: magic, version, header length, a Python dict literal, the raw array.
struct NumpyFile {
    struct FormatError: Error { let path: String }

    let rows: Int
    let columns: Int
    private let data: Data

    init(path: String, dtype: String) throws {
        let file = try Data(contentsOf: URL(fileURLWithPath: path))
        guard file.count > 10, file.prefix(7) == Data([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1]) else {
            throw FormatError(path: path)
        }
        let headerEnd = 10 + Int(file[8]) + Int(file[9]) << 8
        let header = String(decoding: file[10..<headerEnd], as: UTF8.self)
        let shape = header.split(separator: "(").last?.split(separator: ")").first?
            .split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        guard header.contains("'\(dtype)'"), header.contains("'fortran_order': False"), let shape, shape.count == 2
        else { throw FormatError(path: path) }
        (rows, columns) = (shape[0], shape[1])
        data = file.subdata(in: headerEnd..<file.count)
    }

    func values<Value: BitwiseCopyable>(of type: Value.Type) -> [Value] {
        data.withUnsafeBytes { Array($0.bindMemory(to: Value.self).prefix(rows * columns)) }
    }
}

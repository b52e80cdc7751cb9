internal import Foundation
internal import VectorIndex

/// The benchmark's input: unit vectors, queries, and the true neighbours of each query.
struct Dataset {
    struct Missing: Error { let folder: String }

    let dimension: Int
    /// Rows of `base`.
    let count: Int
    /// `[count x dimension]`, row-major; empty when it was not asked for.
    let base: [Float]
    let queries: [Float]
    /// The queries at unit length.
    let unitQueries: [Float]
    /// `[queryCount x truthWidth]`, nearest first.
    let truth: [UInt32]
    let truthWidth: Int

    var queryCount: Int { queries.count / dimension }

    /// Reads `<name>.base.f16.npy`, `<name>.queries.f16.npy` and `<name>.gt100.u32.npy`, where there is one such name.
    ///
    /// - Parameter loadsBase: false where the points are in a shard already, so that they take no memory here.
    init(folder: String, loadsBase: Bool = true) throws {
        let suffix = ".base.f16.npy"
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
        guard let file = files.sorted().first(where: { $0.hasSuffix(suffix) }) else { throw Missing(folder: folder) }
        let prefix = folder + "/" + file.dropLast(suffix.count)
        let base = try NumpyFile(path: prefix + suffix, dtype: "<f2")
        let queries = try NumpyFile(path: prefix + ".queries.f16.npy", dtype: "<f2")
        let truth = try NumpyFile(path: prefix + ".gt100.u32.npy", dtype: "<u4")
        dimension = base.columns
        count = base.rows
        self.base = loadsBase ? base.values(of: Float16.self).map { Float($0) } : []
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

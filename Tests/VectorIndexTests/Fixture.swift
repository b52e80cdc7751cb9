import DataModel
import VectorIndex

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        return bits ^ bits >> 31
    }

    /// Roughly normal, mean 0, deviation 1.
    mutating func gaussian() -> Float {
        (0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &self) }
    }
}

/// Clustered random vectors and queries near them, with a graph that holds the vectors and its true answers.
struct Fixture {
    static let k = 10

    let metric: Metric
    let dimension: Int
    let count: Int
    let rows: [[Float]]
    let queries: [[Float]]
    let raw: RawRows
    let graph: HNSWGraph

    /// - Parameter inserts: whether to insert all rows now.
    init(
        metric: Metric = .squaredEuclid, count: Int = 3_000, dimension: Int = 24, queries: Int = 60, m: Int = 12,
        efConstruct: Int = 96, maximumRows: Int? = nil, seed: UInt64 = 1, inserts: Bool = true,
        datatype: VectorDatatype = .float32, quantization: Quantization = .none
    ) throws {
        var generator = SeededGenerator(seed: seed)
        let centres = (0..<40).map { _ in (0..<dimension).map { _ in generator.gaussian() } }
        func vector(_ generator: inout SeededGenerator) -> [Float] {
            var vector = centres[Int.random(in: 0..<centres.count, using: &generator)]
            for index in vector.indices { vector[index] += 0.5 * generator.gaussian() }
            // Inner product is for vectors of unit length: without that a few long ones are everybody's nearest.
            if metric == .innerProduct { normalise(&vector, dimension: dimension) }
            return vector
        }
        self.metric = metric
        self.dimension = dimension
        self.count = count
        rows = (0..<count).map { _ in vector(&generator) }
        self.queries = (0..<queries).map { _ in vector(&generator) }
        let maximumRows = maximumRows ?? max(count, 1)
        let distance: Distance =
            switch metric {
            case .innerProduct: .dot
            case .squaredEuclid: .euclid
            case .manhattan: .manhattan
            }
        raw = try RawRows(dimension: dimension, datatype: datatype, distance: distance, maximumRows: maximumRows)
        for (slot, row) in rows.enumerated() { raw.write(row, at: UInt32(slot)) }
        graph = try HNSWGraph(
            parameters: .init(m: m, efConstruct: efConstruct, seed: seed), raw: raw, quantization: quantization,
            maximumRows: maximumRows)
        if inserts { insertAll() }
    }

    func insertAll() { while graph.insertNext(below: UInt32(count)) != nil {} }

    func distance(_ a: [Float], _ b: [Float]) -> Double {
        let pairs = zip(a, b).lazy.map { (Double($0), Double($1)) }
        return switch metric {
        case .innerProduct: -pairs.reduce(0) { $0 + $1.0 * $1.1 }
        case .squaredEuclid: pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        case .manhattan: pairs.reduce(0) { $0 + abs($1.0 - $1.1) }
        }
    }

    /// The `k` nearest rows that are below `visibleRows` and pass `isLive`, by comparing with each.
    func truth(
        _ query: [Float], k: Int = Fixture.k, visibleRows: Int? = nil, isLive: (UInt32) -> Bool = { _ in true }
    ) -> [UInt32] {
        (0..<UInt32(visibleRows ?? count)).filter(isLive)
            .map { ($0, distance(query, rows[Int($0)])) }
            .sorted { $0.1 < $1.1 }
            .prefix(k).map(\.0)
    }

    func search(
        _ query: [Float], k: Int = Fixture.k, ef: Int = 80, visibleRows: UInt32? = nil, deleted: DeletedRows = .none
    ) -> [Neighbour] {
        graph.search(query: query, k: k, ef: ef, visibleRows: visibleRows ?? graph.count, deleted: deleted)
    }

    /// Of the true nearest rows of all queries, the fraction that searches find.
    func recall(ef: Int = 80) -> Double {
        var hits = 0
        for query in queries {
            let truth = Set(truth(query))
            hits += search(query, ef: ef).count { truth.contains($0.slot) }
        }
        return Double(hits) / Double(Self.k * queries.count)
    }
}

/// A set of deleted rows in the form that searches borrow.
final class DeletedSet {
    private let chunks: UnsafeMutablePointer<UnsafeRawPointer?>
    private let chunkCount: Int

    init(rows: Int, isDeleted: (UInt32) -> Bool) {
        chunkCount = rows / DeletedRows.rowsPerChunk + 1
        chunks = .allocate(capacity: chunkCount)
        chunks.initialize(repeating: nil, count: chunkCount)
        for row in 0..<UInt32(rows) where isDeleted(row) {
            let number = Int(row) / DeletedRows.rowsPerChunk
            if chunks[number] == nil {
                let chunk = UnsafeMutablePointer<UInt64>.allocate(capacity: 512)
                chunk.initialize(repeating: 0, count: 512)
                chunks[number] = UnsafeRawPointer(chunk)
            }
            let words = UnsafeMutableRawPointer(mutating: chunks[number]!).assumingMemoryBound(to: UInt64.self)
            words[Int(row) % DeletedRows.rowsPerChunk / 64] |= 1 << UInt64(row & 63)
        }
    }

    deinit {
        for number in 0..<chunkCount { chunks[number]?.deallocate() }
        chunks.deallocate()
    }

    func withView<R>(_ body: (DeletedRows) throws -> R) rethrows -> R {
        try withExtendedLifetime(self) { try body(DeletedRows(chunks: chunks, chunkCount: chunkCount)) }
    }
}

/// A set of allowed rows in the form that searches borrow.
struct AllowedSet {
    var words: [UInt64]
    let count: Int

    init(rows: Int, isAllowed: (UInt32) -> Bool) {
        words = Array(repeating: 0, count: rows / 64 + 1)
        for row in 0..<UInt32(rows) where isAllowed(row) { words[Int(row >> 6)] |= 1 << UInt64(row & 63) }
        count = words.reduce(0) { $0 + $1.nonzeroBitCount }
    }

    func withView<R>(_ body: (AllowedRows) throws -> R) rethrows -> R {
        try words.withUnsafeBufferPointer { buffer in
            try body(AllowedRows(words: buffer.baseAddress!, wordCount: buffer.count))
        }
    }
}

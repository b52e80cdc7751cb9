internal import Foundation
internal import VectorIndex

/// The graph under test. Another way to hold the vectors, such as mapped blocks, is another `Subject`.
struct Subject {
    struct Outcome {
        let seconds: Double
        let recall: Double
    }

    static let k = 10

    let dataset: Dataset
    let graph: HNSWGraph
    /// The queries at unit length.
    private let queries: [Float]

    init(dataset: Dataset, m: Int, efConstruct: Int) throws {
        self.dataset = dataset
        let dimension = dataset.dimension
        let vectors = try Column(rowBytes: dimension * 4, maximumRows: dataset.count)
        dataset.base.withUnsafeBufferPointer { base in
            for row in 0..<dataset.count {
                let floats = vectors.writableRow(UInt32(row)).assumingMemoryBound(to: Float.self)
                for index in 0..<dimension { floats[index] = base[row * dimension + index] }
                normalise(floats, dimension: dimension)
            }
        }
        var queries = dataset.queries
        queries.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            for query in 0..<dataset.queryCount { normalise(start + query * dimension, dimension: dimension) }
        }
        self.queries = queries
        graph = try HNSWGraph(
            parameters: .init(m: m, efConstruct: efConstruct), metric: .innerProduct, dimension: dimension,
            vectors: vectors, maximumRows: dataset.count)
    }

    /// Inserts all rows; the seconds that it took.
    func build() -> Double {
        Self.cpuSeconds {
            while graph.insertNext(below: UInt32(dataset.count)) != nil {}
        }
    }

    func search(ef: Int) -> Outcome {
        measure { query in
            graph.search(query: query, k: Self.k, ef: ef, visibleRows: graph.count, deleted: .none)
        }
    }

    func scan() -> Outcome {
        measure { query in
            graph.scan(query: query, k: Self.k, rows: 0..<UInt32(dataset.count), deleted: .none)
        }
    }

    private func measure(_ answer: (UnsafePointer<Float>) -> [Neighbour]) -> Outcome {
        var answers: [[Neighbour]] = []
        answers.reserveCapacity(dataset.queryCount)
        let seconds = queries.withUnsafeBufferPointer { queries in
            Self.cpuSeconds {
                guard let start = queries.baseAddress else { return }
                for query in 0..<dataset.queryCount { answers.append(answer(start + query * dataset.dimension)) }
            }
        }
        var hits = 0
        for (query, answer) in answers.enumerated() {
            let first = query * dataset.truthWidth
            let truth = Set(dataset.truth[first..<first + Self.k])
            hits += answer.count { truth.contains($0.slot) }
        }
        return Outcome(seconds: seconds, recall: Double(hits) / Double(Self.k * dataset.queryCount))
    }

    /// Processor time, not time on the wall: other processes may want the core too.
    private static func cpuSeconds(_ body: () -> Void) -> Double {
        let start = clock()
        body()
        return Double(clock() - start) / Double(CLOCKS_PER_SEC)
    }
}

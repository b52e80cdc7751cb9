internal import DataModel
internal import Foundation
internal import VectorIndex

/// What a round of queries took, in seconds of processor time, and found.
struct Outcome {
    let seconds: Double
    let recall: Double
}

/// Something that finds neighbours, under test.
protocol Subject {
    /// Inserts all rows; the seconds of processor time that it took.
    mutating func build(m: Int, efConstruct: Int) async throws -> Double
    func search(ef: Int) async throws -> Outcome
}

/// The index alone, over vectors in memory.
struct HeapSubject: Subject {
    let dataset: Dataset
    private var graph: HNSWGraph?

    init(dataset: Dataset) { self.dataset = dataset }

    mutating func build(m: Int, efConstruct: Int) throws -> Double {
        let graph = try emptyGraph(m: m, efConstruct: efConstruct)
        self.graph = graph
        return cpuSeconds {
            while graph.insertNext(below: UInt32(dataset.count)) != nil {}
        }
    }

    func search(ef: Int) -> Outcome {
        guard let graph else { return Outcome(seconds: .infinity, recall: 0) }
        return dataset.measure(graph, ef: ef)
    }

    private func emptyGraph(m: Int, efConstruct: Int) throws -> HNSWGraph {
        let dimension = dataset.dimension
        let rows = try RawRows(
            dimension: dimension, datatype: .float32, distance: .cosine, maximumRows: dataset.count)
        dataset.base.withUnsafeBufferPointer { base in
            for row in 0..<dataset.count { rows.write(base.baseAddress.map { $0 + row * dimension }, at: UInt32(row)) }
        }
        return try HNSWGraph(
            parameters: .init(m: m, efConstruct: efConstruct), raw: rows, quantization: .scalar,
            maximumRows: dataset.count)
    }
}

extension Dataset {
    static let k = 10

    /// Asks the graph each query.
    func measure(_ graph: HNSWGraph, ef: Int) -> Outcome {
        var answers: [[Neighbour]] = []
        answers.reserveCapacity(queryCount)
        let seconds = unitQueries.withUnsafeBufferPointer { queries in
            cpuSeconds {
                guard let start = queries.baseAddress else { return }
                for query in 0..<queryCount {
                    answers.append(
                        graph.search(
                            query: start + query * dimension, k: Self.k, ef: ef, visibleRows: graph.count,
                            deleted: .none))
                }
            }
        }
        return Outcome(seconds: seconds, recall: recall(answers.map { $0.map(\.slot) }))
    }

    /// The share of the true `k` nearest rows that the answers hold.
    func recall(_ answers: [[UInt32]]) -> Double {
        var hits = 0
        for (query, answer) in answers.enumerated() {
            let first = query * truthWidth
            let nearest = Set(truth[first..<first + Self.k])
            hits += answer.count { nearest.contains($0) }
        }
        return Double(hits) / Double(Self.k * queryCount)
    }
}

/// Processor time, not time on the wall: other processes may want the core too.
func cpuSeconds(_ body: () -> Void) -> Double {
    let start = clock()
    body()
    return Double(clock() - start) / Double(CLOCKS_PER_SEC)
}

internal import DataModel
internal import Dispatch
internal import Foundation
internal import VectorIndex

/// What some work took: of the processors, all threads together, and on the wall.
struct Cost {
    let processorSeconds: Double
    let wallSeconds: Double
}

/// What a round of queries took, and found.
struct Outcome {
    let cost: Cost
    let recall: Double

    static let nothing = Outcome(cost: Cost(processorSeconds: .infinity, wallSeconds: .infinity), recall: 0)
}

/// Something that finds neighbours, under test.
protocol Subject {
    /// Inserts all rows.
    mutating func build(m: Int, efConstruct: Int) async throws -> Cost
    func search(ef: Int) async throws -> Outcome
    /// Performs a command that only this subject knows; nil when it knows it no more than others.
    mutating func answer(_ command: String, _ numbers: [Int]) async throws -> [String: Double]?
    func close() async
}

extension Subject {
    func answer(_ command: String, _ numbers: [Int]) -> [String: Double]? { nil }
    func close() {}
}

/// The index alone, over vectors in memory.
struct HeapSubject: Subject {
    let dataset: Dataset
    let threads: Int
    private var graph: HNSWGraph?

    init(dataset: Dataset, threads: Int) {
        self.dataset = dataset
        self.threads = threads
    }

    mutating func build(m: Int, efConstruct: Int) throws -> Cost {
        let graph = try emptyGraph(m: m, efConstruct: efConstruct)
        self.graph = graph
        let stopwatch = Stopwatch()
        let count = UInt32(dataset.count)
        DispatchQueue.concurrentPerform(iterations: threads) { _ in
            while graph.insertNext(below: count) != nil {}
        }
        return stopwatch.cost
    }

    func search(ef: Int) -> Outcome {
        guard let graph else { return .nothing }
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
        let stopwatch = Stopwatch()
        unitQueries.withUnsafeBufferPointer { queries in
            guard let start = queries.baseAddress else { return }
            for query in 0..<queryCount {
                answers.append(
                    graph.search(
                        query: start + query * dimension, k: Self.k, ef: ef, visibleRows: graph.count, deleted: .none))
            }
        }
        let cost = stopwatch.cost
        return Outcome(cost: cost, recall: recall(answers.map { $0.map(\.slot) }))
    }

    /// The share of the `k` nearest rows, of those that are alive, that the answers hold.
    ///
    /// With half of the rows dead, ten living ones are among the hundred that are known as good as always.
    func recall(_ answers: [[UInt32]], isAlive: (UInt32) -> Bool = { _ in true }) -> Double {
        var hits = 0
        var wanted = 0
        for (query, answer) in answers.enumerated() {
            let nearest = Set(nearest(to: query, isAlive: isAlive))
            wanted += nearest.count
            hits += answer.count { nearest.contains($0) }
        }
        return Double(hits) / Double(wanted)
    }

    /// The `k` nearest living rows.
    func nearest(to query: Int, isAlive: (UInt32) -> Bool = { _ in true }) -> [UInt32] {
        Array(truth[query * truthWidth..<(query + 1) * truthWidth].lazy.filter(isAlive).prefix(Self.k))
    }
}

/// Processor time beside time on the wall: other processes may want the core too.
struct Stopwatch {
    private let processor = clock()
    private let wall = ContinuousClock.now

    var cost: Cost {
        let wallSeconds = (ContinuousClock.now - wall) / .seconds(1)
        return Cost(
            processorSeconds: Double(clock() - processor) / Double(CLOCKS_PER_SEC), wallSeconds: wallSeconds)
    }
}

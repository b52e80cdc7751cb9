internal import DataModel
internal import VectorIndex

/// Finds the nearest of a set of rows, by whichever way is cheapest.
struct RankedSearch {
    let graph: HNSWGraph
    let query: UnsafePointer<Float>
    let view: ReadView
    let deleted: DeletedSet
    let ef: Int
    let quantization: QuantizationParameters
    /// Compare with each row of the set.
    let isExact: Bool
    var profile = SearchProfile()

    init(
        graph: HNSWGraph, query: UnsafePointer<Float>, view: ReadView, deleted: DeletedSet, ef: Int,
        quantization: QuantizationParameters, isExact: Bool
    ) {
        (self.graph, self.query, self.view, self.deleted) = (graph, query, view, deleted)
        (self.ef, self.quantization, self.isExact) = (ef, quantization, isExact)
    }

    /// The `count` nearest of the set's rows, nearest first, and all of them when there are no more.
    mutating func nearest(_ count: Int, of set: AllowedSet) -> [Neighbour] {
        let indexed = min(graph.count, view.slotCount)
        let tail = set.slots(in: indexed..<view.slotCount)
        let inGraph = set.count - tail.count
        var cost = SearchCost(
            rows: max(Int(indexed) - deleted.count, inGraph), allowed: inGraph, wanted: count, ef: max(ef, count),
            rowBytes: graph.comparedBytes(quantization))
        if !isExact, cost.best != .scan {
            cost.shareNearby = graph.shareNearby(query: query, quantization: quantization, allowed: set.rows)
        }
        guard let found = walk(count, of: set, inGraph: inGraph, visibleRows: indexed, cost) else {
            profile.strategy = .scan
            if isExact { return scan(count, set.slots(in: 0..<view.slotCount)) }
            let found = scanCodes(count, set.slots(in: 0..<indexed))
            return tail.isEmpty ? found : Neighbour.merge(found, scan(count, tail), limit: count)
        }
        return tail.isEmpty ? found : Neighbour.merge(found, scan(count, tail), limit: count)
    }

    /// Nil when a scan is cheaper, or a walk found fewer than there are.
    private mutating func walk(
        _ count: Int, of set: AllowedSet, inGraph: Int, visibleRows: UInt32, _ cost: SearchCost
    ) -> [Neighbour]? {
        guard !isExact else { return nil }
        var (strategy, effort) = (cost.best, cost.filteredEf)
        if strategy == .graphThenFilter, let candidates = cost.unfilteredEf {
            let walk = graph.searchThenFilter(
                query: query, k: count, ef: candidates, quantization: quantization, allowed: set.rows,
                visibleRows: visibleRows, deleted: deleted.rows)
            note(walk, .graphThenFilter)
            if walk.isComplete { return walk.neighbours }
            strategy = cost.second
            effort = cost.filteredEf * 2
        }
        guard strategy == .filteredGraph else { return nil }
        // Past half of the rows that a scan compares, the scan is better.
        let walk = graph.search(
            query: query, k: count, ef: effort, quantization: quantization, allowed: set.rows,
            budget: inGraph / 2)
        note(walk, .filteredGraph)
        return walk.isComplete && walk.neighbours.count >= min(count, inGraph) ? walk.neighbours : nil
    }

    private mutating func note(_ walk: FilteredWalk, _ strategy: SearchProfile.Strategy) {
        profile.strategy = strategy
        profile.comparisons += walk.comparisons
        profile.rescoredRows += walk.rescored
    }

    private mutating func scanCodes(_ count: Int, _ slots: [UInt32]) -> [Neighbour] {
        let walk = slots.withUnsafeBufferPointer {
            graph.scanCodes(query: query, k: count, ef: max(ef, count), quantization: quantization, slots: $0)
        }
        note(walk, .scan)
        return walk.neighbours
    }

    private mutating func scan(_ count: Int, _ slots: [UInt32]) -> [Neighbour] {
        profile.comparisons += slots.count
        return slots.withUnsafeBufferPointer { graph.scan(query: query, k: count, slots: $0) }
    }
}

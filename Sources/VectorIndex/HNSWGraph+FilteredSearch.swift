internal import Synchronization

/// What a walk over allowed rows found, and what it took.
package struct FilteredWalk: Sendable {
    /// Nearest first.
    package var neighbours: [Neighbour]
    /// Rows that were compared with the query.
    package var comparisons: Int
    /// False when the budget was used up before the walk came to its end.
    package var isComplete: Bool
}

extension HNSWGraph {
    /// The `k` nearest of the allowed rows, by a walk over allowed rows and through the others.
    ///
    /// May find fewer than `k` although there are as many: where few rows are allowed, islands of them are out of reach.
    /// - Parameters:
    ///   - query: `dimension` floats.
    ///   - ef: size of the candidate list; at least `k` is taken.
    ///   - allowed: holds no row that is deleted or not visible.
    ///   - budget: rows to compare at most, roughly.
    package func search(
        query: UnsafePointer<Float>, k: Int, ef: Int, allowed: AllowedRows, budget: Int
    ) -> FilteredWalk {
        guard k > 0, let entry = EntryPoint(rawValue: entry.load(ordering: .acquiring)) else {
            return FilteredWalk(neighbours: [], comparisons: 0, isComplete: true)
        }
        let bound = gate.claimed.load(ordering: .acquiring)
        let walk = LayerWalk(
            view: view, query: query, bound: bound, upperRows: upperRowCount.load(ordering: .acquiring), salt: 0)
        let ef = min(max(ef, k), Int(bound))
        return scratches.withScratch(bound: bound) { scratch in
            let start = walk.meet(entry.slot, scratch: &scratch)
            _ = walk.descend(from: start, top: entry.level, bottom: 1, scratch: &scratch)
            let isComplete = walk.searchAllowed(allowed, ef: ef, budget: budget, scratch: &scratch)
            let comparisons = scratch.metCount
            return FilteredWalk(
                neighbours: scratch.takeNearest(k), comparisons: comparisons, isComplete: isComplete)
        }
    }

    /// Compares the query with each of `slots`: the exact `k` nearest, nearest first.
    ///
    /// - Precondition: the rows' vectors are published; the rows need not be in the graph.
    package func scan(query: UnsafePointer<Float>, k: Int, slots: UnsafeBufferPointer<Slot>) -> [Neighbour] {
        guard k > 0, let base = slots.baseAddress else { return [] }
        return scratches.withScratch(bound: 0) { scratch in
            scratch.results.removeAll()
            scratch.results.reserve(min(k, slots.count))
            scratch.reserveMet(Column.rowsPerBlock)
            var first = 0
            while first < slots.count {
                let count = min(Column.rowsPerBlock, slots.count - first)
                view.computeDistances(from: query, to: base + first, count: count, into: scratch.distances)
                for index in 0..<count {
                    scratch.keepNearest(
                        k, Candidate(slot: base[first + index], distance: scratch.distances[index], salt: 0))
                }
                first += count
            }
            return scratch.takeNearest(k)
        }
    }
}

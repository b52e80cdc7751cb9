package import DataModel
internal import Synchronization

/// What a walk over allowed rows found, and what it took.
package struct FilteredWalk: Sendable {
    /// Nearest first.
    package var neighbours: [Neighbour]
    /// Rows that were compared with the query.
    package var comparisons: Int
    /// Rows that were compared again by their raw vectors.
    package var rescored: Int
    /// False when there may be nearer rows that the walk had to leave out.
    package var isComplete: Bool

    static let nothing = FilteredWalk(neighbours: [], comparisons: 0, rescored: 0, isComplete: true)
}

extension HNSWGraph {
    /// The `k` nearest of the allowed rows, by a walk over allowed rows and through the others.
    ///
    /// May find fewer than `k` although there are as many: where few rows are allowed, islands of them are out of reach.
    /// - Parameters:
    ///   - query: `dimension` floats.
    ///   - ef: size of the candidate list; at least `k` is taken.
    ///   - allowed: holds no row that is deleted or not visible.
    ///   - budget: rows to compare at most, roughly; the walk is incomplete when they are used up.
    package func search(
        query: UnsafePointer<Float>, k: Int, ef: Int, quantization: QuantizationParameters = .init(),
        allowed: AllowedRows, budget: Int
    ) -> FilteredWalk {
        guard k > 0, let entry = EntryPoint(rawValue: entry.load(ordering: .acquiring)) else { return .nothing }
        return rescoring(query: query, k: k, ef: ef, quantization) { query, comparison, count in
            let bound = gate.claimed.load(ordering: .acquiring)
            let walk = LayerWalk(
                view: view, comparison: comparison, query: query, bound: bound,
                upperRows: upperRowCount.load(ordering: .acquiring), salt: 0)
            return scratches.withScratch(bound: bound) { scratch in
                let start = walk.meet(entry.slot, scratch: &scratch)
                _ = walk.descend(from: start, top: entry.level, bottom: 1, scratch: &scratch)
                let isComplete = walk.searchAllowed(
                    allowed, ef: min(max(ef, count), Int(bound)), budget: budget, scratch: &scratch)
                let comparisons = scratch.metCount
                return FilteredWalk(
                    neighbours: scratch.takeNearest(count), comparisons: comparisons, rescored: 0,
                    isComplete: isComplete)
            }
        }
    }

    /// The share of allowed rows among those within two hops of where the upper layers lead the query: about a thousand of
    /// the nearest, looked at without comparing them. 1 where there is no graph.
    package func shareNearby(
        query: UnsafePointer<Float>, quantization: QuantizationParameters, allowed: AllowedRows
    ) -> Double {
        guard let entry = EntryPoint(rawValue: entry.load(ordering: .acquiring)) else { return 1 }
        return withComparison(query: query, quantization) { query, comparison in
            let bound = gate.claimed.load(ordering: .acquiring)
            let walk = LayerWalk(
                view: view, comparison: comparison, query: query, bound: bound,
                upperRows: upperRowCount.load(ordering: .acquiring), salt: 0)
            return scratches.withScratch(bound: bound) { scratch in
                let start = walk.meet(entry.slot, scratch: &scratch)
                let nearest = walk.descend(from: start, top: entry.level, bottom: 1, scratch: &scratch)
                return walk.shareAllowed(around: nearest.slot(salt: 0), allowed)
            }
        }
    }

    /// Lends `body` the query in the form that the walk compares.
    private func withComparison<R>(
        query: UnsafePointer<Float>, _ quantization: QuantizationParameters, _ body: (UnsafeRawPointer, Comparison) -> R
    ) -> R {
        guard !quantization.ignore, let codes else { return body(query, rawComparison) }
        return withExtendedLifetime(codes) { codes.withQuery(query) { body($0, codes.comparison) } }
    }

    /// Bytes of a row as searches compare it.
    package func comparedBytes(_ quantization: QuantizationParameters) -> Int {
        quantization.ignore ? raw.column.rowBytes : codes?.column.rowBytes ?? raw.column.rowBytes
    }

    /// The `k` nearest of the allowed rows among the `ef` nearest of all.
    ///
    /// Incomplete when there are fewer than `k`, or the last of them is among the farthest of those `ef`, of which a walk
    /// misses many.
    package func searchThenFilter(
        query: UnsafePointer<Float>, k: Int, ef: Int, quantization: QuantizationParameters = .init(),
        allowed: AllowedRows, visibleRows: UInt32, deleted: DeletedRows
    ) -> FilteredWalk {
        guard k > 0, let entry = EntryPoint(rawValue: entry.load(ordering: .acquiring)) else { return .nothing }
        return rescoring(query: query, k: k, ef: ef, quantization) { query, comparison, count in
            let found = walk(
                from: entry, query: query, comparison: comparison, ef: ef, count: ef, visibleRows: visibleRows,
                deleted: deleted)
            var result = FilteredWalk(neighbours: [], comparisons: found.count, rescored: 0, isComplete: false)
            for (rank, neighbour) in found.enumerated() where allowed.contains(neighbour.slot) {
                result.neighbours.append(neighbour)
                if result.neighbours.count == k { result.isComplete = rank < ef - ef / 8 }
                if result.neighbours.count == count { break }
            }
            return result
        }
    }

    /// Lends `body` the query in the form that the walk compares, and how many rows to find; compares those again by
    /// their raw vectors and keeps `k`.
    private func rescoring(
        query: UnsafePointer<Float>, k: Int, ef: Int, _ quantization: QuantizationParameters,
        _ body: (UnsafeRawPointer, Comparison, Int) -> FilteredWalk
    ) -> FilteredWalk {
        guard !quantization.ignore, let codes else { return body(query, rawComparison, k) }
        let count = quantization.rescore == false ? k : rescoredRows(k: k, ef: ef, quantization.oversampling, codes)
        var walk = withExtendedLifetime(codes) {
            codes.withQuery(query) { prepared in body(prepared, codes.comparison, count) }
        }
        guard quantization.rescore != false else { return walk }
        walk.rescored = walk.neighbours.count
        rescore(&walk.neighbours, query: query, k: k)
        return walk
    }

    /// Compares the query with each of `slots`, by codes where there are any, and the best by their raw vectors again.
    ///
    /// - Precondition: the rows are in the graph.
    package func scanCodes(
        query: UnsafePointer<Float>, k: Int, ef: Int, quantization: QuantizationParameters,
        slots: UnsafeBufferPointer<Slot>
    ) -> FilteredWalk {
        rescoring(query: query, k: k, ef: ef, quantization) { query, comparison, count in
            FilteredWalk(
                neighbours: nearest(count, to: query, comparison, among: slots), comparisons: slots.count, rescored: 0,
                isComplete: true)
        }
    }

    /// Compares the query with each of `slots`: the exact `k` nearest, nearest first.
    ///
    /// - Precondition: the rows' vectors are published; the rows need not be in the graph.
    package func scan(query: UnsafePointer<Float>, k: Int, slots: UnsafeBufferPointer<Slot>) -> [Neighbour] {
        nearest(k, to: query, rawComparison, among: slots)
    }

    private func nearest(
        _ k: Int, to query: UnsafeRawPointer, _ comparison: Comparison, among slots: UnsafeBufferPointer<Slot>
    ) -> [Neighbour] {
        guard k > 0, let base = slots.baseAddress else { return [] }
        return scratches.withScratch(bound: 0) { scratch in
            scratch.results.removeAll()
            scratch.results.reserve(min(k, slots.count))
            scratch.reserveMet(Column.rowsPerBlock)
            var first = 0
            while first < slots.count {
                let count = min(Column.rowsPerBlock, slots.count - first)
                comparison.computeDistances(from: query, to: base + first, count: count, into: scratch.distances)
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

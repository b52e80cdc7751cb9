internal import Synchronization

extension HNSWGraph {
    /// Algorithm 5, K-NN-SEARCH: the `k` nearest rows below `visibleRows` that are not deleted, nearest first.
    ///
    /// Deleted rows are walked through and do not count for `ef`, so that `k` rows are found if the walk reaches them.
    /// - Parameters:
    ///   - query: `dimension` floats.
    ///   - ef: size of the candidate list; at least `k` is taken.
    package func search(
        query: UnsafePointer<Float>, k: Int, ef: Int, visibleRows: UInt32, deleted: DeletedRows
    ) -> [Neighbour] {
        // The entry point before the bound: so it is below.
        guard k > 0, let entry = EntryPoint(rawValue: entry.load(ordering: .acquiring)) else { return [] }
        let bound = gate.claimed.load(ordering: .acquiring)
        let walk = LayerWalk(
            view: view, query: query, bound: bound, upperRows: upperRowCount.load(ordering: .acquiring),
            salt: 0)
        let ef = min(max(ef, k), Int(bound))
        return scratches.withScratch(bound: bound) { scratch in
            let start = walk.meet(entry.slot, scratch: &scratch)
            _ = walk.descend(from: start, top: entry.level, bottom: 1, scratch: &scratch)
            let filter = RowFilter(visibleRows: visibleRows, deleted: deleted, bound: bound)
            walk.searchLayer(0, ef: ef, filter: filter, scratch: &scratch)
            return scratch.takeNearest(k)
        }
    }

    /// Compares the query with each of `rows` that is not deleted: the exact `k` nearest, nearest first.
    ///
    /// - Precondition: the rows' vectors are published; the rows need not be in the graph.
    package func scan(
        query: UnsafePointer<Float>, k: Int, rows: Range<UInt32>, deleted: DeletedRows
    ) -> [Neighbour] {
        guard k > 0 else { return [] }
        return scratches.withScratch(bound: 0) { scratch in
            scratch.results.removeAll()
            scratch.results.reserve(min(k, rows.count))
            var next = rows.lowerBound
            while next < rows.upperBound {
                scratch.reserveMet(Column.rowsPerBlock)
                var count = 0
                while next < rows.upperBound, count < Column.rowsPerBlock {
                    scratch.met[count] = next
                    count &+= deleted.contains(next) ? 0 : 1
                    next &+= 1
                }
                view.computeDistances(from: query, to: scratch.met, count: count, into: scratch.distances)
                for index in 0..<count {
                    let candidate = Candidate(slot: scratch.met[index], distance: scratch.distances[index], salt: 0)
                    scratch.keepNearest(k, candidate)
                }
            }
            return scratch.takeNearest(k)
        }
    }

    /// The distances of the query to any rows whose vectors are published.
    package func distances(
        query: UnsafePointer<Float>, slots: UnsafePointer<Slot>, count: Int,
        into distances: UnsafeMutablePointer<Float>
    ) {
        view.computeDistances(from: query, to: slots, count: count, into: distances)
    }
}

extension Scratch {
    /// Adds a row to the results if it is among the `limit` nearest.
    @inline(__always)
    mutating func keepNearest(_ limit: Int, _ candidate: Candidate) {
        if results.count < limit {
            results.push(~candidate.key)
        } else if candidate.key < ~results.first {
            results.replaceFirst(with: ~candidate.key)
        }
    }

    /// Empties the results, whose salt is 0: the `k` nearest, nearest first.
    mutating func takeNearest(_ k: Int) -> [Neighbour] {
        while results.count > k { _ = results.pop() }
        let count = results.count
        return Array(unsafeUninitializedCapacity: count) { buffer, initialized in
            for index in (0..<count).reversed() {
                let candidate = Candidate(key: ~results.pop())
                let neighbour = Neighbour(slot: candidate.slot(salt: 0), distance: candidate.distance)
                buffer.initializeElement(at: index, to: neighbour)
            }
            initialized = count
        }
    }
}

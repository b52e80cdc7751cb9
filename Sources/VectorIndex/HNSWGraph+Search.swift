package import DataModel
internal import Synchronization

extension HNSWGraph {
    /// Algorithm 5, K-NN-SEARCH: the `k` nearest rows below `visibleRows` that are not deleted, nearest first.
    ///
    /// Deleted rows are walked through and do not count for `ef`, so that `k` rows are found if the walk reaches them.
    /// With codes, the walk compares those, and the best of what it found are compared again by their raw vectors.
    /// - Parameters:
    ///   - query: `dimension` floats.
    ///   - ef: size of the candidate list; at least `k` is taken.
    package func search(
        query: UnsafePointer<Float>, k: Int, ef: Int, quantization: QuantizationParameters = .init(),
        visibleRows: UInt32, deleted: DeletedRows
    ) -> [Neighbour] {
        // The entry point before the bound: so it is below.
        guard k > 0, let entry = EntryPoint(rawValue: entry.load(ordering: .acquiring)) else { return [] }
        guard !quantization.ignore, let codes else {
            return walk(
                from: entry, query: query, comparison: rawComparison, ef: max(ef, k), count: k,
                visibleRows: visibleRows, deleted: deleted)
        }
        let rescored = quantization.rescore == false ? k : rescoredRows(k: k, ef: ef, quantization.oversampling, codes)
        var found = withExtendedLifetime(codes) {
            codes.withQuery(query) { prepared in
                walk(
                    from: entry, query: prepared, comparison: codes.comparison, ef: max(ef, rescored), count: rescored,
                    visibleRows: visibleRows, deleted: deleted)
            }
        }
        if quantization.rescore != false { rescore(&found, query: query, k: k) }
        return found
    }

    /// How many of the candidates are compared again.
    func rescoredRows(k: Int, ef: Int, _ oversampling: Double?, _ codes: CodeRows) -> Int {
        if let oversampling { return min(max(k, Int((Double(k) * oversampling).rounded(.up))), Int(Int32.max)) }
        // Codes of 8 bits only swap near neighbours; those of 1 bit order coarsely, so that all candidates count.
        return codes.canBuild ? k + k / 2 : max(k, ef)
    }

    func walk(
        from entry: EntryPoint, query: UnsafeRawPointer, comparison: Comparison, ef: Int, count: Int,
        visibleRows: UInt32, deleted: DeletedRows
    ) -> [Neighbour] {
        let bound = gate.claimed.load(ordering: .acquiring)
        return walking.use { asks in
            let walk = LayerWalk(
                view: view, comparison: comparison, query: query, bound: bound,
                upperRows: upperRowCount.load(ordering: .acquiring), salt: 0, asksAhead: asks)
            return scratches.withScratch(bound: bound) { scratch in
                let start = walk.meet(entry.slot, scratch: &scratch)
                _ = walk.descend(from: start, top: entry.level, bottom: 1, scratch: &scratch)
                let filter = RowFilter(visibleRows: visibleRows, deleted: deleted, bound: bound)
                walk.searchLayer(0, ef: min(ef, Int(bound)), filter: filter, scratch: &scratch)
                let rows = scratch.metCount
                return (scratch.takeNearest(count), rows)
            }
        }
    }

    /// Compares the rows again by their raw vectors and keeps the `k` nearest.
    func rescore(_ found: inout [Neighbour], query: UnsafePointer<Float>, k: Int) {
        withUnsafeTemporaryAllocation(of: Slot.self, capacity: found.count) { slots in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: found.count) { distances in
                guard let slot = slots.baseAddress, let distance = distances.baseAddress else { return }
                for index in found.indices { slot[index] = found[index].slot }
                rescoring.use(count: found.count, { ask in for row in found { ask(raw.column.row(row.slot), raw.column.rowBytes) } }) {
                    rawComparison.computeDistances(from: query, to: slot, count: found.count, into: distance)
                }
                for index in found.indices { found[index] = Neighbour(slot: slot[index], distance: distance[index]) }
            }
        }
        found.sort()
        if found.count > k { found.removeLast(found.count - k) }
    }

    /// Compares the query with each of `rows` that is not deleted: the exact `k` nearest, nearest first.
    ///
    /// - Precondition: the rows' vectors are published; the rows need not be in the graph.
    package func scan(
        query: UnsafePointer<Float>, k: Int, rows: Range<UInt32>, deleted: DeletedRows
    ) -> [Neighbour] {
        scan(rawComparison, query: query, k: k, rows: rows, deleted: deleted)
    }

    func scan(
        _ comparison: Comparison, query: UnsafeRawPointer, k: Int, rows: Range<UInt32>, deleted: DeletedRows
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
                comparison.computeDistances(from: query, to: scratch.met, count: count, into: scratch.distances)
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
        rawComparison.computeDistances(from: query, to: slots, count: count, into: distances)
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

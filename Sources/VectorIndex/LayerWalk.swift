internal import CKernels

/// Which rows a search may return. It walks through the others.
struct RowFilter {
    let visibleRows: UInt32
    let deleted: DeletedRows
    /// Whether every row that a walk can meet may be returned.
    let acceptsAll: Bool

    init(visibleRows: UInt32, deleted: DeletedRows, bound: UInt32) {
        self.visibleRows = visibleRows
        self.deleted = deleted
        acceptsAll = deleted.isEmpty && visibleRows >= bound
    }

    static func all(bound: UInt32) -> RowFilter { RowFilter(visibleRows: bound, deleted: .none, bound: bound) }

    @inline(__always)
    func accepts(_ slot: Slot) -> Bool { acceptsAll || (slot < visibleRows && !deleted.contains(slot)) }
}

/// A walk through the graph's layers towards one query.
struct LayerWalk {
    let view: GraphView
    let comparison: Comparison
    /// In the form that the comparison wants.
    let query: UnsafeRawPointer
    /// Rows from here on are not followed, whoever links to them.
    let bound: UInt32
    /// Upper rows from here on do not exist.
    let upperRows: UInt32
    /// The salt of all candidates.
    let salt: UInt32
    /// Whether rows are asked for before they are compared, and their links with them.
    var asksAhead = false

    /// Meets the row's neighbours that were not met before and computes their distances.
    ///
    /// - Returns: the range of `scratch.met` and `scratch.distances` that they take.
    @inline(__always)
    func meetNeighbours(of slot: Slot, level: Int, scratch: inout Scratch) -> Range<Int> {
        let start = scratch.metCount
        guard let links = view.links(of: slot, level: level, upperRows: upperRows) else { return start..<start }
        let capacity = view.capacity(level: level)
        scratch.reserveMet(capacity)
        let (visited, met) = (scratch.visited, scratch.met)
        var end = start
        for index in 0..<capacity {
            let word = shoal_load_relaxed_u32(links + index &* 4)
            if word == 0 { break }
            let neighbour = word &- 1
            if neighbour >= bound { continue }
            let bit: UInt64 = 1 << UInt64(neighbour & 63)
            let bits = visited[Int(neighbour >> 6)]
            met[end] = neighbour
            end &+= bits & bit == 0 ? 1 : 0
            visited[Int(neighbour >> 6)] = bits | bit
        }
        scratch.metCount = end
        if end > start {
            if asksAhead { ask(for: UnsafeBufferPointer(start: met + start, count: end &- start)) }
            comparison.computeDistances(
                from: query, to: met + start, count: end &- start, into: scratch.distances + start)
        }
        return start..<end
    }

    /// Asks for the rows and for their links, of which some are followed next.
    @inline(never)
    private func ask(for slots: UnsafeBufferPointer<Slot>) {
        for slot in slots {
            ReadAhead.ask(for: comparison.row(slot), byteCount: comparison.stride)
            ReadAhead.ask(for: comparison.correction(of: slot), byteCount: 8)
            let links = view.links(of: slot, level: 0, upperRows: upperRows)
            ReadAhead.ask(for: links, byteCount: view.capacity(level: 0) &* 4)
        }
    }

    /// Meets the row where a walk starts.
    func meet(_ slot: Slot, scratch: inout Scratch) -> Candidate {
        scratch.reserveMet(1)
        let position = scratch.metCount
        scratch.visited[Int(slot >> 6)] |= 1 << UInt64(slot & 63)
        scratch.met[position] = slot
        scratch.metCount = position + 1
        comparison.computeDistances(
            from: query, to: scratch.met + position, count: 1, into: scratch.distances + position)
        return Candidate(slot: slot, distance: scratch.distances[position], salt: salt)
    }

    /// Descends greedily, as Algorithm 2 with ef = 1 does, from `start` through layers `top ... bottom`.
    ///
    /// No row is compared twice, not even in another layer: one that was not the nearest then is not now.
    func descend(from start: Candidate, top: Int, bottom: Int, scratch: inout Scratch) -> Candidate {
        var nearest = start
        var level = top
        while level >= bottom {
            var improved = true
            while improved {
                improved = false
                for position in meetNeighbours(of: nearest.slot(salt: salt), level: level, scratch: &scratch) {
                    let candidate = Candidate(
                        slot: scratch.met[position], distance: scratch.distances[position], salt: salt)
                    if candidate < nearest {
                        nearest = candidate
                        improved = true
                    }
                }
            }
            level -= 1
        }
        return nearest
    }

    /// Algorithm 2, SEARCH-LAYER: fills `scratch.results` with the `ef` nearest rows that the filter accepts.
    ///
    /// Starts from all rows that were met already, whose distances are known.
    func searchLayer(_ level: Int, ef: Int, filter: RowFilter, scratch: inout Scratch) {
        scratch.candidates.removeAll()
        scratch.results.removeAll()
        scratch.results.reserve(ef)
        consider(0..<scratch.metCount, ef: ef, filter: filter, scratch: &scratch)
        while scratch.candidates.count > 0 {
            let candidate = Candidate(key: scratch.candidates.pop())
            if scratch.results.count == ef && candidate.key > ~scratch.results.first { break }
            if scratch.candidates.count > 0 {
                // Probably the one to expand next.
                let next = Candidate(key: scratch.candidates.first).slot(salt: salt)
                shoal_prefetch(view.links(of: next, level: level, upperRows: upperRows))
            }
            let neighbours = meetNeighbours(of: candidate.slot(salt: salt), level: level, scratch: &scratch)
            consider(neighbours, ef: ef, filter: filter, scratch: &scratch)
        }
    }

    /// Makes the rows at `positions` of `scratch.met` candidates, and results, as far as they are near enough.
    @inline(__always)
    private func consider(_ positions: Range<Int>, ef: Int, filter: RowFilter, scratch: inout Scratch) {
        scratch.candidates.reserve(positions.count)
        for position in positions {
            let candidate = Candidate(slot: scratch.met[position], distance: scratch.distances[position], salt: salt)
            let isFull = scratch.results.count == ef
            if isFull && candidate.key >= ~scratch.results.first { continue }
            scratch.candidates.push(candidate.key)
            guard filter.accepts(scratch.met[position]) else { continue }
            if isFull {
                scratch.results.replaceFirst(with: ~candidate.key)
            } else {
                scratch.results.push(~candidate.key)
            }
        }
    }
}

internal import CKernels

extension LayerWalk {
    /// How many neighbours one row's expansion compares at most. Two hops lead to `capacity * (capacity + 1)` rows; with
    /// half of all rows allowed nearly all would be compared, and most of them for nothing.
    private static var neighboursPerCapacity: Int { 2 }

    /// SEARCH-LAYER on layer 0 over allowed rows only: fills `scratch.results` with the `ef` nearest of them.
    ///
    /// L. Patel, P. Kraft, C. Guestrin, M. Zaharia: ACORN, 2024, section 5.2 (ACORN-1): a row's neighbours are its links
    /// that pass, and, behind those links that do not, the next links that do. The graph is the plain one.
    ///
    /// Starts from all rows that were met already, whether they pass or not.
    /// - Parameter budget: rows to compare at most; the walk ends early when they are used up.
    /// - Returns: whether the walk came to its end.
    func searchAllowed(_ allowed: AllowedRows, ef: Int, budget: Int, scratch: inout Scratch) -> Bool {
        scratch.candidates.removeAll()
        scratch.results.removeAll()
        scratch.results.reserve(ef)
        scratch.candidates.reserve(scratch.metCount)
        for position in 0..<scratch.metCount {
            let candidate = Candidate(slot: scratch.met[position], distance: scratch.distances[position], salt: salt)
            scratch.candidates.push(candidate.key)
            if allowed.contains(scratch.met[position]) { scratch.keepNearest(ef, candidate) }
        }
        var compared = 0
        while scratch.candidates.count > 0 {
            let candidate = Candidate(key: scratch.candidates.pop())
            if scratch.results.count == ef && candidate.key > ~scratch.results.first { break }
            if compared > budget { return false }
            let neighbours = meetAllowed(of: candidate.slot(salt: salt), allowed, scratch: &scratch)
            compared &+= neighbours.count
            scratch.candidates.reserve(neighbours.count)
            for position in neighbours {
                let candidate = Candidate(
                    slot: scratch.met[position], distance: scratch.distances[position], salt: salt)
                if scratch.results.count == ef && candidate.key >= ~scratch.results.first { continue }
                scratch.candidates.push(candidate.key)
                scratch.keepNearest(ef, candidate)
            }
        }
        return true
    }

    /// Meets the allowed rows within two hops that were not met before, and computes their distances.
    ///
    /// - Returns: the range of `scratch.met` and `scratch.distances` that they take.
    private func meetAllowed(of slot: Slot, _ allowed: AllowedRows, scratch: inout Scratch) -> Range<Int> {
        let start = scratch.metCount
        guard let links = view.links(of: slot, level: 0, upperRows: upperRows) else { return start..<start }
        let capacity = view.capacity(level: 0)
        let limit = capacity &* Self.neighboursPerCapacity
        scratch.reserveMet(limit &+ capacity)
        scratch.reserveExcluded(capacity)
        let firstExcluded = scratch.excludedCount
        var (end, excludedEnd) = (start, firstExcluded)
        for index in 0..<capacity {
            let word = shoal_load_relaxed_u32(links + index &* 4)
            if word == 0 { break }
            let neighbour = word &- 1
            if neighbour >= bound || !scratch.visit(neighbour) { continue }
            if allowed.contains(neighbour) {
                scratch.met[end] = neighbour
                end &+= 1
            } else {
                scratch.excluded[excludedEnd] = neighbour
                excludedEnd &+= 1
                shoal_prefetch(view.links(of: neighbour, level: 0, upperRows: upperRows))
            }
        }
        for index in firstExcluded..<excludedEnd where end &- start < limit {
            end = meetAllowedLinks(
                of: scratch.excluded[index], allowed, end: end, limit: start &+ limit, scratch: &scratch)
        }
        scratch.excludedCount = excludedEnd
        scratch.metCount = end
        if end > start {
            comparison.computeDistances(
                from: query, to: scratch.met + start, count: end &- start, into: scratch.distances + start)
        }
        return start..<end
    }

    @inline(__always)
    private func meetAllowedLinks(
        of slot: Slot, _ allowed: AllowedRows, end: Int, limit: Int, scratch: inout Scratch
    ) -> Int {
        guard let links = view.links(of: slot, level: 0, upperRows: upperRows) else { return end }
        var end = end
        for index in 0..<view.capacity(level: 0) where end < limit {
            let word = shoal_load_relaxed_u32(links + index &* 4)
            if word == 0 { break }
            let neighbour = word &- 1
            // Most are excluded, and finding that out is one load that nothing else waits for.
            if neighbour >= bound || !allowed.contains(neighbour) || !scratch.visit(neighbour) { continue }
            scratch.met[end] = neighbour
            end &+= 1
        }
        return end
    }

    /// The share of allowed rows within two hops on layer 0; 1 for a row without links.
    func shareAllowed(around slot: Slot, _ allowed: AllowedRows) -> Double {
        var (count, total) = (0, 0)
        forEachLink(of: slot) { neighbour in
            total &+= 1
            count &+= allowed.contains(neighbour) ? 1 : 0
            forEachLink(of: neighbour) { next in
                total &+= 1
                count &+= allowed.contains(next) ? 1 : 0
            }
        }
        return total == 0 ? 1 : Double(count) / Double(total)
    }

    @inline(__always)
    private func forEachLink(of slot: Slot, _ body: (Slot) -> Void) {
        guard let links = view.links(of: slot, level: 0, upperRows: upperRows) else { return }
        for index in 0..<view.capacity(level: 0) {
            let word = shoal_load_relaxed_u32(links + index &* 4)
            if word == 0 { break }
            if word &- 1 < bound { body(word &- 1) }
        }
    }
}

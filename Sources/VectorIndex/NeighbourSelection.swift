internal import CKernels

/// Chooses a row's neighbours among candidates. Owns the lists that this takes; `destroy` frees them.
struct NeighbourSelection {
    private let comparison: Comparison
    private let row: RowQuery
    /// Candidates by key, nearest first.
    let candidates: UnsafeMutablePointer<UInt64>
    private let selected: UnsafeMutablePointer<Slot>
    private let left: UnsafeMutablePointer<Slot>
    private let distances: UnsafeMutablePointer<Float>
    private var heap: KeyHeap

    /// - Parameter maximumCandidates: how many rows there are at most to choose from.
    init(comparison: Comparison, maximumCandidates: Int) {
        self.comparison = comparison
        row = RowQuery(comparison)
        candidates = .allocate(capacity: maximumCandidates)
        selected = .allocate(capacity: maximumCandidates)
        left = .allocate(capacity: maximumCandidates)
        distances = .allocate(capacity: maximumCandidates)
        heap = KeyHeap(capacity: maximumCandidates)
    }

    func destroy() {
        row.destroy()
        candidates.deallocate()
        selected.deallocate()
        left.deallocate()
        distances.deallocate()
        heap.destroy()
    }

    /// Algorithm 4, SELECT-NEIGHBORS-HEURISTIC: writes at most `limit` of the first `count` candidates to `chosen`.
    ///
    /// A candidate is taken if it is nearer to the row than to every neighbour taken before: so links go out in all
    /// directions, and a cluster does not close itself off. Those that are equally near, which means that vectors are
    /// equal, fill the room that is left: so equal vectors keep each other reachable and still have links to others.
    /// - Parameter keepsPruned: the paper's keepPrunedConnections: whether the nearest of the others fill it too.
    /// - Returns: how many were chosen.
    func select(
        _ count: Int, limit: Int, keepsPruned: Bool, salt: UInt32, into chosen: UnsafeMutablePointer<Slot>
    ) -> Int {
        var (chosenCount, leftCount) = (0, 0)
        for index in 0..<count {
            if chosenCount == limit { break }
            let candidate = Candidate(key: candidates[index])
            let slot = candidate.slot(salt: salt)
            switch relation(of: slot, at: candidate.distance, to: chosen, count: chosenCount) {
            case .apart:
                chosen[chosenCount] = slot
                chosenCount &+= 1
            case .nearer where !keepsPruned: break
            case .nearer, .tied:
                left[leftCount] = slot
                leftCount &+= 1
            }
        }
        for index in 0..<min(leftCount, limit - chosenCount) {
            chosen[chosenCount] = left[index]
            chosenCount &+= 1
        }
        return chosenCount
    }

    private enum Relation {
        /// Nearer to the row than to any chosen one.
        case apart
        /// Equally near to the row and to a chosen one.
        case tied
        case nearer
    }

    @inline(__always)
    private func relation(
        of slot: Slot, at distance: Float, to chosen: UnsafeMutablePointer<Slot>, count: Int
    ) -> Relation {
        guard let query = row.load(slot) else { return .nearer }
        var relation = Relation.apart
        var start = 0
        while start < count {
            // In steps of what the kernels compute at once: mostly one of the first decides.
            let step = min(4, count &- start)
            comparison.computeDistances(from: query, to: chosen + start, count: step, into: distances)
            for index in 0..<step {
                if distances[index] < distance { return .nearer }
                if distances[index] == distance { relation = .tied }
            }
            start &+= step
        }
        return relation
    }

    /// Makes the rows in `slots` the candidates for the neighbours of the row `centre`, whose block is there.
    mutating func sortCandidates(
        _ slots: UnsafePointer<Slot>, count: Int, around centre: Slot, salt: UInt32
    ) {
        guard let query = row.load(centre) else { preconditionFailure("a row with links has no vector") }
        comparison.computeDistances(from: query, to: slots, count: count, into: distances)
        heap.removeAll()
        for index in 0..<count {
            heap.push(Candidate(slot: slots[index], distance: distances[index], salt: salt).key)
        }
        for index in 0..<count { candidates[index] = heap.pop() }
    }

    /// Takes the results of a walk, farthest first, as the candidates for the neighbours of `slot`.
    ///
    /// - Returns: how many there are.
    func takeCandidates(from results: inout KeyHeap, for slot: Slot, salt: UInt32) -> Int {
        let count = results.count
        for index in (0..<count).reversed() { candidates[index] = ~results.pop() }
        // Only a damaged graph leads a row to itself.
        var kept = 0
        for index in 0..<count where Candidate(key: candidates[index]).slot(salt: salt) != slot {
            candidates[kept] = candidates[index]
            kept &+= 1
        }
        return kept
    }
}

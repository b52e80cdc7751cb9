internal import CKernels

/// Chooses a row's neighbours among candidates. Owns the lists that this takes; `destroy` frees them.
struct NeighbourSelection {
    private let view: GraphView
    /// Candidates by key, nearest first.
    let candidates: UnsafeMutablePointer<UInt64>
    private let selected: UnsafeMutablePointer<Slot>
    private let pruned: UnsafeMutablePointer<Slot>
    private let distances: UnsafeMutablePointer<Float>
    private var heap: KeyHeap

    /// - Parameter maximumCandidates: how many rows there are at most to choose from.
    init(view: GraphView, maximumCandidates: Int) {
        self.view = view
        candidates = .allocate(capacity: maximumCandidates)
        selected = .allocate(capacity: maximumCandidates)
        pruned = .allocate(capacity: maximumCandidates)
        distances = .allocate(capacity: maximumCandidates)
        heap = KeyHeap(capacity: maximumCandidates)
    }

    func destroy() {
        candidates.deallocate()
        selected.deallocate()
        pruned.deallocate()
        distances.deallocate()
        heap.destroy()
    }

    /// Algorithm 4, SELECT-NEIGHBORS-HEURISTIC, with keepPrunedConnections where `keepsPruned`: at most `limit` of the
    /// first `count` of `candidates`, written to `chosen`.
    ///
    /// A candidate is taken if it is nearer to the row than to every neighbour taken before: so links go out in all
    /// directions, and a cluster does not close itself off.
    /// - Returns: how many were chosen.
    func select(_ count: Int, limit: Int, keepsPruned: Bool, into chosen: UnsafeMutablePointer<Slot>) -> Int {
        var (chosenCount, prunedCount) = (0, 0)
        for index in 0..<count {
            if chosenCount == limit { break }
            let candidate = Candidate(key: candidates[index])
            if isNearerToOne(of: chosen, count: chosenCount, candidate) {
                pruned[prunedCount] = candidate.slot
                prunedCount &+= 1
            } else {
                chosen[chosenCount] = candidate.slot
                chosenCount &+= 1
            }
        }
        if keepsPruned {
            for index in 0..<min(prunedCount, limit - chosenCount) {
                chosen[chosenCount] = pruned[index]
                chosenCount &+= 1
            }
        }
        return chosenCount
    }

    @inline(__always)
    private func isNearerToOne(of chosen: UnsafeMutablePointer<Slot>, count: Int, _ candidate: Candidate) -> Bool {
        guard let vector = view.vector(of: candidate.slot) else { return true }
        var start = 0
        while start < count {
            // In steps of what the kernels compute at once: mostly one of the first decides.
            let step = min(4, count &- start)
            view.computeDistances(from: vector, to: chosen + start, count: step, into: distances)
            for index in 0..<step where distances[index] < candidate.distance { return true }
            start &+= step
        }
        return false
    }

    /// Makes the rows in `slots` the candidates for the neighbours of a row whose vector is `vector`.
    mutating func sortCandidates(
        _ slots: UnsafePointer<Slot>, count: Int, around vector: UnsafePointer<Float>
    ) {
        view.computeDistances(from: vector, to: slots, count: count, into: distances)
        heap.removeAll()
        for index in 0..<count { heap.push(Candidate(slot: slots[index], distance: distances[index]).key) }
        for index in 0..<count { candidates[index] = heap.pop() }
    }

    /// Takes the results of a walk, farthest first, as the candidates for the neighbours of `slot`.
    ///
    /// - Returns: how many there are.
    func takeCandidates(from results: inout KeyHeap, for slot: Slot) -> Int {
        var count = results.count
        for index in (0..<count).reversed() { candidates[index] = ~results.pop() }
        // Only a damaged graph leads a row to itself.
        var kept = 0
        for index in 0..<count where Candidate(key: candidates[index]).slot != slot {
            candidates[kept] = candidates[index]
            kept &+= 1
        }
        count = kept
        return count
    }
}

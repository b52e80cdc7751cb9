/// A row that a search found.
package struct Neighbour: Sendable, Equatable, Comparable {
    package let slot: Slot
    /// In the index's metric: smaller is nearer.
    package let distance: Float

    package init(slot: Slot, distance: Float) {
        self.slot = slot
        self.distance = distance
    }

    /// Nearer first; equally near rows in the order of their slots, so that every search of the same rows agrees.
    package static func < (lhs: Neighbour, rhs: Neighbour) -> Bool {
        (lhs.distance, lhs.slot) < (rhs.distance, rhs.slot)
    }

    /// The `limit` nearest of two lists that are nearest first and share no slot.
    package static func merge(_ a: [Neighbour], _ b: [Neighbour], limit: Int) -> [Neighbour] {
        var merged: [Neighbour] = []
        merged.reserveCapacity(min(limit, a.count + b.count))
        var (i, j) = (0, 0)
        while merged.count < limit, i < a.count || j < b.count {
            if j == b.count || (i < a.count && a[i] < b[j]) {
                merged.append(a[i])
                i += 1
            } else {
                merged.append(b[j])
                j += 1
            }
        }
        return merged
    }
}

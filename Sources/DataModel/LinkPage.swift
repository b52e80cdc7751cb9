/// Asks the primary of a shard for level-0 links of its graph, for a replica whose rows lie in the same slots.
package struct LinkRequest: Sendable, Equatable {
    /// What tells in which slots the rows lie; replicas that took the same writes in have the same one.
    package var layout: UInt64
    /// The vector space, by its place in the schema.
    package var space: UInt16
    /// The slot of the first row.
    package var first: UInt32
    package var maximumRows: UInt32

    package init(layout: UInt64, space: UInt16, first: UInt32, maximumRows: UInt32) {
        self.layout = layout
        self.space = space
        self.first = first
        self.maximumRows = maximumRows
    }
}

/// Level-0 links of consecutive rows of a graph, of each row those to rows before it.
package struct LinkPage: Sendable, Equatable {
    /// The slot of the first row.
    package let first: UInt32
    /// `[rows + 1]`: where each row's links begin in `slots`, and where the last one's end.
    private(set) var starts: [UInt32] = [0]
    private(set) var slots: [UInt32] = []

    package init(first: UInt32) { self.first = first }

    /// - Precondition: `starts` begins with 0, descends nowhere, and ends with the number of `slots`.
    init(first: UInt32, starts: [UInt32], slots: [UInt32]) {
        (self.first, self.starts, self.slots) = (first, starts, slots)
    }

    /// Adds the next row.
    package mutating func append(_ links: some Sequence<UInt32>) {
        slots.append(contentsOf: links)
        starts.append(UInt32(slots.count))
    }

    package var rowCount: Int { starts.count - 1 }
    /// The slot behind the last row.
    package var end: UInt32 { first + UInt32(rowCount) }

    /// Of its binary form.
    package var estimatedBytes: Int { 16 + (starts.count + slots.count) * MemoryLayout<UInt32>.size }

    /// The row's links; nil when the page does not have the row.
    package func links(of slot: UInt32) -> ArraySlice<UInt32>? {
        guard slot >= first, slot < end else { return nil }
        let row = Int(slot - first)
        return slots[Int(starts[row])..<Int(starts[row + 1])]
    }
}

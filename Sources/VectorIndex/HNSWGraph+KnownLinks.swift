internal import CKernels
package import DataModel
internal import Synchronization

// What one graph found, another one of the same rows need not search for: most of the time of an insertion goes into
// finding the row's neighbours, and little into linking them.

extension HNSWGraph {
    /// A row with fewer known neighbours than `m` divided by this is searched for.
    private static let fewestKnown = 4

    /// Rows that took over the links of another graph, since this one was opened.
    package var adoptedRowCount: UInt64 { adoptedRows.load(ordering: .relaxed) }

    /// The level-0 links of the rows from `first` on that are in the graph, `maximumRows` at most, each to rows before it:
    /// what is needed to insert the rows in their order elsewhere.
    package func earlierLinks(from first: Slot, maximumRows: Int) -> LinkPage {
        let end = max(first, min(count, first.addingReportingOverflow(UInt32(clamping: maximumRows)).partialValue))
        var page = LinkPage(first: first)
        for slot in first..<end { page.append(levelZeroLinks(of: slot).filter { $0 < slot }) }
        return page
    }

    /// A list ends with a 0, or where its room does.
    private func levelZeroLinks(of slot: Slot) -> some Sequence<Slot> {
        let links = view.links(of: slot, level: 0, upperRows: 0)
        return (0..<view.capacity(level: 0)).lazy
            .map { index in links.map { shoal_load_relaxed_u32($0 + index * 4) } ?? 0 }
            .prefix { $0 != 0 }.map { $0 - 1 }
    }

    /// Links a row of level 0 with its neighbours in another graph.
    ///
    /// - Returns: false when too few of them are in this one.
    func adopt(_ known: LinkPage, for slot: Slot, _ comparison: Comparison) -> Bool {
        let capacity = view.capacity(level: 0)
        return withUnsafeTemporaryAllocation(of: Slot.self, capacity: capacity) { chosen in
            guard let start = chosen.baseAddress else { return false }
            var count = 0
            for neighbour in known.links(of: slot) ?? []
            where count < capacity && neighbour < slot && isLinked(neighbour) {
                start[count] = neighbour
                count += 1
            }
            guard count >= max(1, parameters.m / Self.fewestKnown) else { return false }
            var selection = NeighbourSelection(comparison: comparison, maximumCandidates: capacity + 1)
            defer { selection.destroy() }
            // Others that follow may link to it already.
            linkLocks.withLock(of: slot) { write(start, count: count, to: slot, level: 0) }
            for index in 0..<count { addLink(from: start[index], to: slot, level: 0, selection: &selection) }
            adoptedRows.wrappingAdd(1, ordering: .relaxed)
            return true
        }
    }

    /// Whether the row has links: one that was dead when its turn came has none, and leads nowhere.
    private func isLinked(_ slot: Slot) -> Bool {
        view.links(of: slot, level: 0, upperRows: 0).map { shoal_load_relaxed_u32($0) != 0 } ?? false
    }
}

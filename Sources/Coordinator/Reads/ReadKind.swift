/// Reads that take about as long as each other on one node: what is learned from one holds for the next.
package struct ReadKind: Hashable, Sendable {
    package enum Operation: Hashable, Sendable { case search, filteredSearch, retrieve, scroll, count, copy }

    package let operation: Operation
    /// Half the bits of the number of searches, ids or records that one shard is asked for: each class is four times
    /// the one before.
    package let sizeClass: Int

    /// - Parameter units: searches of a batch, ids, or records at most.
    package init(_ operation: Operation, units: Int = 1) {
        self.operation = operation
        sizeClass = (Int.bitWidth - max(units, 1).leadingZeroBitCount) / 2
    }
}

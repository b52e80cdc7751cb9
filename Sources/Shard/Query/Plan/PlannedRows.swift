internal import DataModel
internal import LMDB

/// The rows of a view that pass a filter, as far as the indexes know, and the way to find out about the others.
struct PlannedRows {
    private let filter: PlannedFilter
    private let store: PointStore
    private let slotCount: UInt32
    /// The rows that the indexes do not exclude; none that is dead.
    let possible: AllowedSet
    /// Those that they know to pass.
    let certain: AllowedSet

    /// - Parameter dead: rows to leave out.
    init(_ filter: PlannedFilter, store: PointStore, without dead: DeletedSet, slotCount: UInt32) {
        (self.filter, self.store, self.slotCount) = (filter, store, slotCount)
        possible = AllowedSet(filter.bounds.possible, without: dead, slotCount: slotCount)
        certain =
            filter.bounds.isExact ? possible : AllowedSet(filter.bounds.certain, without: dead, slotCount: slotCount)
    }

    /// How many rows only their payloads can decide.
    var undecided: Int { possible.count - certain.count }

    /// Whether the row passes; it is not dead.
    func passes(_ slot: UInt32, _ transaction: borrowing ReadTransaction) throws -> Bool {
        if certain.contains(slot) { return true }
        guard possible.contains(slot) else { return false }
        return try filter.matches(slot, try store.payloadRow(at: slot, slotCount: slotCount, transaction))
    }

    /// The exact number of rows that pass.
    func count(_ transaction: borrowing ReadTransaction) throws -> Int {
        guard undecided > 0 else { return certain.count }
        var count = 0
        for slot in possible.slots(in: 0..<slotCount) where try passes(slot, transaction) { count += 1 }
        return count
    }
}

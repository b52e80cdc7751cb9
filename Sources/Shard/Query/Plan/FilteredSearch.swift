internal import DataModel
internal import LMDB
internal import VectorIndex

/// A search whose filter the indexes know in part or in full. What they do not know is decided by payloads, of as few
/// rows as will do: the nearest first, until enough of them pass.
struct FilteredSearch {
    private let rows: PlannedRows
    private let slotCount: UInt32
    private var search: RankedSearch
    /// What was found out of rows that the indexes leave open.
    private var verdicts: [UInt32: Bool] = [:]

    /// Up to this many open rows are all looked at before the search begins.
    private static let rowsDecidedAhead = 64
    /// The first candidates of a search for `k`: more when the filter turns out to be strict.
    private static let firstCandidates = 4
    private static let growth = 8

    var profile: SearchProfile { search.profile }

    init(_ filter: PlannedFilter, store: PointStore, search: RankedSearch) {
        slotCount = search.view.slotCount
        rows = PlannedRows(filter, store: store, without: search.deleted, slotCount: slotCount)
        self.search = search
    }

    mutating func nearest(_ count: Int, _ transaction: borrowing ReadTransaction) throws -> [Neighbour] {
        let possible = rows.possible
        search.profile.possibleRows = possible.count
        search.profile.certainRows = rows.certain.count
        search.profile.estimatedRows = (possible.count + rows.certain.count) / 2
        guard possible.count > 0 else { return [] }
        if rows.undecided == 0 { return search.nearest(count, of: possible) }
        if rows.undecided > Self.rowsDecidedAhead, let found = try decidingAsFound(count, transaction) { return found }
        let allowed = try deciding(transaction)
        search.profile.estimatedRows = allowed.count
        return search.nearest(count, of: allowed)
    }

    /// Looks at the nearest possible rows, more and more of them, until `count` pass. Nil when deciding all rows is
    /// cheaper than to go on.
    private mutating func decidingAsFound(
        _ count: Int, _ transaction: borrowing ReadTransaction
    ) throws -> [Neighbour]? {
        let possible = rows.possible
        var candidates = count * Self.firstCandidates
        while true {
            let found = search.nearest(candidates, of: possible)
            var passing: [Neighbour] = []
            for neighbour in found where passing.count < count {
                if try passes(neighbour.slot, transaction) { passing.append(neighbour) }
            }
            if passing.count == count || found.count >= possible.count { return passing }
            let share = Double(max(passing.count, 1)) / Double(max(found.count, 1))
            search.profile.estimatedRows = Int(share * Double(possible.count))
            let needed = Int(min(Double(count) / share * 2, Double(possible.count)))
            // All in all no more than about twice the work of looking at every row.
            if needed > candidates * Self.growth || needed > possible.count / 4 { return nil }
            candidates = max(needed, candidates * 2)
        }
    }

    /// The possible rows that pass, by the payload of each that the indexes leave open.
    private mutating func deciding(_ transaction: borrowing ReadTransaction) throws -> AllowedSet {
        var passing = RowBitmap.Builder()
        for slot in rows.possible.slots(in: 0..<slotCount) where try passes(slot, transaction) { passing.insert(slot) }
        return AllowedSet(passing.finished(), without: search.deleted, slotCount: slotCount)
    }

    private mutating func passes(_ slot: UInt32, _ transaction: borrowing ReadTransaction) throws -> Bool {
        if rows.certain.contains(slot) { return true }
        if let verdict = verdicts[slot] { return verdict }
        let verdict = try rows.passes(slot, transaction)
        verdicts[slot] = verdict
        search.profile.checkedPayloads += 1
        return verdict
    }
}

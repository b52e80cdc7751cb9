internal import DataModel
internal import LMDB
internal import VectorIndex

/// A search whose filter the indexes know in part or in full. What they do not know is decided by payloads, of as few
/// rows as will do: the nearest first, until enough of them pass.
struct FilteredSearch {
    private let filter: PlannedFilter
    private let store: PointStore
    private let slotCount: UInt32
    private var search: RankedSearch
    /// What was found out of rows that the indexes leave open.
    private var verdicts: [UInt32: Bool] = [:]

    /// Reading and testing a payload takes about as long as so many comparisons.
    private static let comparisonsPerCheck = 20
    /// Up to this many open rows are all looked at before the search begins.
    private static let rowsDecidedAhead = 64
    /// The first candidates of a search for `k`: more when the filter turns out to be strict.
    private static let firstCandidates = 4
    private static let growth = 8

    var profile: SearchProfile { search.profile }

    init(_ filter: PlannedFilter, store: PointStore, search: RankedSearch) {
        (self.filter, self.store, self.search) = (filter, store, search)
        slotCount = search.view.slotCount
    }

    mutating func nearest(_ count: Int, _ transaction: borrowing ReadTransaction) throws -> [Neighbour] {
        let possible = AllowedSet(filter.bounds.possible, without: search.deleted, slotCount: slotCount)
        let certain = filter.bounds.isExact
            ? possible : AllowedSet(filter.bounds.certain, without: search.deleted, slotCount: slotCount)
        search.profile.possibleRows = possible.count
        search.profile.certainRows = certain.count
        search.profile.estimatedRows = (possible.count + certain.count) / 2
        guard possible.count > 0 else { return [] }
        if certain.count == possible.count { return search.nearest(count, of: certain) }
        if possible.count - certain.count > Self.rowsDecidedAhead,
            let found = try decidingAsFound(count, possible: possible, transaction)
        {
            return found
        }
        let allowed = try deciding(possible, transaction)
        search.profile.estimatedRows = allowed.count
        return search.nearest(count, of: allowed)
    }

    /// Looks at the nearest possible rows, more and more of them, until `count` pass. Nil when deciding all rows is
    /// cheaper than to go on.
    private mutating func decidingAsFound(
        _ count: Int, possible: AllowedSet, _ transaction: borrowing ReadTransaction
    ) throws -> [Neighbour]? {
        var candidates = count * Self.firstCandidates
        var spent = 0
        while true {
            let found = search.nearest(candidates, of: possible)
            var passing: [Neighbour] = []
            for neighbour in found where passing.count < count {
                if try passes(neighbour.slot, transaction) { passing.append(neighbour) }
            }
            if passing.count == count || found.count >= possible.count { return passing }
            spent += candidates
            let share = Double(max(passing.count, 1)) / Double(max(found.count, 1))
            let needed = Int(min(Double(count) / share * 2, Double(possible.count)))
            candidates = min(max(needed, candidates * 2), candidates * Self.growth)
            search.profile.estimatedRows = Int(share * Double(possible.count))
            // All in all no more than about twice the work of looking at every row.
            if needed > candidates * Self.growth || spent + candidates > possible.count / 2 { return nil }
        }
    }

    /// The possible rows that pass, by the payload of each that the indexes leave open.
    private mutating func deciding(
        _ possible: AllowedSet, _ transaction: borrowing ReadTransaction
    ) throws -> AllowedSet {
        var passing = RowBitmap.Builder()
        for slot in possible.slots(in: 0..<slotCount) where try passes(slot, transaction) { passing.insert(slot) }
        return AllowedSet(passing.finished(), without: search.deleted, slotCount: slotCount)
    }

    private mutating func passes(_ slot: UInt32, _ transaction: borrowing ReadTransaction) throws -> Bool {
        if filter.bounds.certain.contains(slot) { return true }
        if let verdict = verdicts[slot] { return verdict }
        let row = try store.payloadRow(at: slot, slotCount: slotCount, transaction)
        let verdict = try filter.matches(slot, row)
        verdicts[slot] = verdict
        search.profile.checkedPayloads += 1
        return verdict
    }
}

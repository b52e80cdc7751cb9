/// What is known of the rows that a condition holds for: certainly these, and none but those.
///
/// An index yields both at once, a condition without one yields nothing and everything. Boolean algebra carries both
/// through a filter, so that only rows between them are ever looked up in their payloads.
struct RowBounds {
    let certain: RowBitmap
    /// Nil when they are the certain rows.
    private let furtherPossible: RowBitmap?

    var isExact: Bool { furtherPossible == nil }
    var possible: RowBitmap { furtherPossible ?? certain }

    /// - Precondition: `possible` holds all of `certain`.
    init(certain: RowBitmap, possible: RowBitmap) {
        self.certain = certain
        furtherPossible = certain == possible ? nil : possible
    }

    init(exact rows: RowBitmap) {
        certain = rows
        furtherPossible = nil
    }

    /// What is known without an index.
    static func unknown(_ universe: RowBitmap) -> RowBounds { RowBounds(certain: RowBitmap(), possible: universe) }

    /// The same, with more rows of which nothing is known.
    func withOpen(_ rows: RowBitmap) -> RowBounds { RowBounds(certain: certain, possible: possible.union(rows)) }

    func union(_ other: RowBounds) -> RowBounds {
        if isExact, other.isExact { return RowBounds(exact: certain.union(other.certain)) }
        return RowBounds(certain: certain.union(other.certain), possible: possible.union(other.possible))
    }

    func intersection(_ other: RowBounds) -> RowBounds {
        if isExact, other.isExact { return RowBounds(exact: certain.intersection(other.certain)) }
        return RowBounds(
            certain: certain.intersection(other.certain), possible: possible.intersection(other.possible))
    }

    func complement(in universe: RowBitmap) -> RowBounds {
        if isExact { return RowBounds(exact: universe.subtracting(certain)) }
        return RowBounds(certain: universe.subtracting(possible), possible: universe.subtracting(certain))
    }

    /// The rows that at least `count` of the conditions hold for.
    static func atLeast(_ count: Int, of conditions: [RowBounds], universe: RowBitmap) -> RowBounds {
        guard count > 0 else { return RowBounds(exact: universe) }
        guard count <= conditions.count else { return RowBounds(exact: RowBitmap()) }
        // For each number up to `count`, the rows that so many of the conditions seen so far hold for.
        var reached = [RowBounds](repeating: RowBounds(exact: RowBitmap()), count: count + 1)
        reached[0] = RowBounds(exact: universe)
        for condition in conditions {
            for number in (1...count).reversed() {
                reached[number] = reached[number].union(reached[number - 1].intersection(condition))
            }
        }
        return reached[count]
    }
}

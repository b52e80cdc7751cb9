internal import DataModel

/// A filter with what the indexes know of each of its conditions.
struct PlannedFilter {
    let must: [PlannedCondition]
    let should: [PlannedCondition]
    let mustNot: [PlannedCondition]
    let minShould: (conditions: [PlannedCondition], count: Int)?
    let bounds: RowBounds

    init(
        must: [PlannedCondition], should: [PlannedCondition], mustNot: [PlannedCondition],
        minShould: (conditions: [PlannedCondition], count: Int)?, universe: RowBitmap
    ) {
        (self.must, self.should, self.mustNot, self.minShould) = (must, should, mustNot, minShould)
        var bounds = RowBounds(exact: universe)
        for condition in must { bounds = bounds.intersection(condition.bounds) }
        for condition in mustNot { bounds = bounds.intersection(condition.bounds.complement(in: universe)) }
        if !should.isEmpty {
            let any = should.reduce(RowBounds(exact: RowBitmap())) { $0.union($1.bounds) }
            bounds = bounds.intersection(any)
        }
        if let minShould {
            let conditions = minShould.conditions.map(\.bounds)
            bounds = bounds.intersection(.atLeast(minShould.count, of: conditions, universe: universe))
        }
        self.bounds = bounds
    }

    /// Whether the row passes; its payload is looked at only where the indexes do not say.
    func matches(_ slot: UInt32, _ row: PayloadRow) throws -> Bool {
        if bounds.certain.contains(slot) { return true }
        if bounds.isExact || !bounds.possible.contains(slot) { return false }
        for condition in must where try !condition.matches(slot, row) { return false }
        for condition in mustNot where try condition.matches(slot, row) { return false }
        if !should.isEmpty, try !should.contains(where: { try $0.matches(slot, row) }) { return false }
        guard let minShould else { return true }
        var passed = 0
        for condition in minShould.conditions where passed < minShould.count {
            passed += try condition.matches(slot, row) ? 1 : 0
        }
        return passed >= minShould.count
    }
}

/// A condition with what the indexes know of it, and how a payload is tested for the rest.
struct PlannedCondition {
    enum Check {
        /// By its value in the payload.
        case program(FilterProgram)
        indirect case filter(PlannedFilter)
    }

    let bounds: RowBounds
    let check: Check

    func matches(_ slot: UInt32, _ row: PayloadRow) throws -> Bool {
        if bounds.certain.contains(slot) { return true }
        if bounds.isExact || !bounds.possible.contains(slot) { return false }
        switch check {
        case .program(let program): return program.matches(row)
        case .filter(let filter): return try filter.matches(slot, row)
        }
    }
}

/// How many reads may be sent to a second replica because the first is slow: a share of all, so that hedges never make a
/// busy cluster busier by much. Pure.
package struct HedgeBudget: Sendable {
    /// What may be saved up in quiet times: the reads that are under way when a node stops.
    package static let savings = 16.0

    /// Hedges for each read.
    package let share: Double
    private var left: Double

    package init(share: Double) {
        self.share = share
        left = share > 0 ? Self.savings : 0
    }

    /// A read begins.
    package mutating func earn() { left = min(left + share, Self.savings) }

    /// Whether one more may be sent; it counts as sent then.
    package mutating func spend() -> Bool {
        guard left >= 1 else { return false }
        left -= 1
        return true
    }
}

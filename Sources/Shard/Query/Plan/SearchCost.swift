package import DataModel

/// What ways to the nearest allowed rows cost, in nanoseconds: estimates, by which one is chosen.
///
/// The constants were fitted to WordNet (117,659 rows of 384 floats with codes of 8 bits, m = 16) on one core of a cloud
/// machine with AVX-512; what counts are their ratios.
package struct SearchCost {
    /// Rows in the graph, and those of them that are allowed.
    package let rows: Int
    package let allowed: Int
    /// How many of the nearest allowed rows are wanted.
    package let wanted: Int
    /// The candidates that a search without a filter would keep.
    package let ef: Int
    /// Bytes of a row.
    package let rowBytes: Int

    /// The share of allowed rows near the query, once it is known; till then that of all rows.
    package var shareNearby: Double

    package init(rows: Int, allowed: Int, wanted: Int, ef: Int, rowBytes: Int) {
        (self.rows, self.allowed, self.wanted, self.ef, self.rowBytes) = (rows, allowed, wanted, ef, rowBytes)
        shareNearby = rows == 0 ? 0 : min(1, Double(allowed) / Double(rows))
    }

    private enum Nanoseconds {
        /// Before a walk comes near its query.
        static let descent = 25_000.0
        static let comparison = 14.0
        static let perByte = 0.027
        /// Work on one candidate of a walk beside its comparisons.
        static let candidate = 400.0
        /// Testing about a thousand rows behind excluded ones, for one candidate of a walk over allowed rows.
        static let detour = 4_400.0
    }

    /// Rows that stay in the processor's caches from one query to the next cost less.
    private static let cacheBytes = 4 << 20
    private static let uncachedFactor = 1.8
    /// Rows met at random cost more than those in order.
    private static let randomFactor = 1.7
    /// Rows that a walk compares for one candidate that it keeps.
    private static let comparisonsPerCandidate = 14.0
    /// A walk that ignores the filter must find this many times the rows that would do on average.
    private static let margin = 2.0
    /// A scan misses nothing and takes the same time wherever the allowed rows are: it may cost a little more.
    private static let scanPreference = 1.2
    /// Where fewer are allowed than this the graph of allowed rows falls apart, and a walk misses too many.
    private static let smallestWalkedShare = 0.01
    /// Where allowed rows are this many times rarer near the query than elsewhere, a walk comes to them from one side and
    /// must look at more of them.
    private static let farOffRatio = 4.0
    private static let farOffFactor = 1.5

    package var share: Double { rows == 0 ? 0 : min(1, Double(allowed) / Double(rows)) }
    private var isFarOff: Bool { shareNearby * Self.farOffRatio < share }
    private var comparison: Double { Nanoseconds.comparison + Nanoseconds.perByte * Double(rowBytes) }

    package var scan: Double {
        Double(allowed) * comparison * (allowed * rowBytes > Self.cacheBytes ? Self.uncachedFactor : 1)
    }

    /// The size of the candidate list with which a walk that ignores the filter finds enough allowed rows; nil when that
    /// would be most rows.
    package var unfilteredEf: Int? {
        let needed = Double(wanted) * Self.margin
        return needed < Double(rows) / 2 * shareNearby ? max(ef, Int(needed / shareNearby)) : nil
    }

    package var graphThenFilter: Double {
        guard let unfilteredEf else { return .infinity }
        let candidate = Nanoseconds.candidate + Self.comparisonsPerCandidate * comparison * Self.randomFactor
        return Nanoseconds.descent + Double(unfilteredEf) * candidate
    }

    /// The size of the candidate list for a walk over allowed rows. Two hops see farther than one: fewer candidates do,
    /// unless so few rows are allowed that even two hops lead to hardly any.
    package var filteredEf: Int {
        let factor = max(0.5, 0.16 / max(share, 0.000_1).squareRoot())
        return max(wanted, Int(Double(ef) * factor * (isFarOff ? Self.farOffFactor : 1)))
    }

    package var filteredGraph: Double {
        guard share >= Self.smallestWalkedShare else { return .infinity }
        let comparisons = 60 * share.squareRoot()
        let candidate = comparisons * comparison * Self.randomFactor + Nanoseconds.detour * (1 - share)
        return Nanoseconds.descent + Double(filteredEf) * (candidate + Nanoseconds.candidate)
    }

    package var best: SearchProfile.Strategy {
        let walk = min(graphThenFilter, filteredGraph)
        if allowed <= wanted || scan <= walk * Self.scanPreference { return .scan }
        return graphThenFilter <= filteredGraph ? .graphThenFilter : .filteredGraph
    }

    /// What to do when a walk that ignores the filter found too few: allowed rows are rare where the query is.
    package var second: SearchProfile.Strategy { filteredGraph * 2 < scan ? .filteredGraph : .scan }
}

internal import DataModel

/// What ways to the nearest allowed rows cost, in nanoseconds: estimates, by which one is chosen.
///
/// The constants were fitted to WordNet (117,659 rows of 384 floats, m = 16) on one core of a cloud machine with AVX-512;
/// what counts are their ratios.
struct SearchCost {
    /// Rows in the graph, and those of them that are allowed.
    let rows: Int
    let allowed: Int
    /// How many of the nearest allowed rows are wanted.
    let wanted: Int
    /// The candidates that a search without a filter would keep.
    let ef: Int
    /// Bytes of a row.
    let rowBytes: Int

    private enum Nanoseconds {
        /// Before a walk comes near its query.
        static let descent = 50_000.0
        static let comparison = 10.0
        static let perByte = 0.028
        /// Fetching a row at random.
        static let cacheMiss = 40.0
        /// Work on one candidate of a walk beside its comparisons.
        static let candidate = 700.0
        /// Testing about a thousand rows behind excluded ones, for one candidate of a walk over allowed rows.
        static let detour = 4_500.0
    }

    /// Rows that stay in the processor's caches from one query to the next cost less than half.
    private static let cacheBytes = 16 << 20
    private static let uncachedFactor = 2.2
    /// Rows that a walk compares for one candidate that it keeps.
    private static let comparisonsPerCandidate = 14.0
    /// A walk that ignores the filter must find this many times the rows that would do on average.
    private static let margin = 2.0
    /// Where fewer are allowed than this the graph of allowed rows falls apart, and a walk misses too many.
    private static let smallestWalkedShare = 0.01

    private var share: Double { rows == 0 ? 0 : min(1, Double(allowed) / Double(rows)) }
    private var comparison: Double { Nanoseconds.comparison + Nanoseconds.perByte * Double(rowBytes) }

    var scan: Double {
        Double(allowed) * comparison * (allowed * rowBytes > Self.cacheBytes ? Self.uncachedFactor : 1)
    }

    /// The size of the candidate list with which a walk that ignores the filter finds enough allowed rows; nil when that
    /// would be most rows.
    var unfilteredEf: Int? {
        let needed = Double(wanted) / max(share, .leastNonzeroMagnitude) * Self.margin
        return needed < Double(rows) / 2 ? max(ef, Int(needed)) : nil
    }

    var graphThenFilter: Double {
        guard let unfilteredEf else { return .infinity }
        let candidate = Nanoseconds.candidate + Self.comparisonsPerCandidate * (comparison + Nanoseconds.cacheMiss)
        return Nanoseconds.descent + Double(unfilteredEf) * candidate
    }

    /// The size of the candidate list for a walk over allowed rows. Two hops see farther than one: fewer candidates do,
    /// unless so few rows are allowed that even two hops lead to hardly any.
    var filteredEf: Int {
        let factor = max(0.5, 0.16 / max(share, 0.000_1).squareRoot())
        return max(wanted, Int(Double(ef) * factor))
    }

    var filteredGraph: Double {
        guard share >= Self.smallestWalkedShare else { return .infinity }
        let comparisons = 60 * share.squareRoot()
        let candidate = comparisons * (comparison + Nanoseconds.cacheMiss) + Nanoseconds.detour
        return Nanoseconds.descent + Double(filteredEf) * candidate
    }

    var best: SearchProfile.Strategy {
        let cheapest = min(scan, graphThenFilter, filteredGraph)
        if allowed <= wanted || scan <= cheapest { return .scan }
        return graphThenFilter <= cheapest ? .graphThenFilter : .filteredGraph
    }

    /// What to do when a walk that ignores the filter found too few: allowed rows are rare where the query is.
    var second: SearchProfile.Strategy { filteredGraph < scan / 2 ? .filteredGraph : .scan }
}

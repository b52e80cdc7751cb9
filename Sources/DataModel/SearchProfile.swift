/// How a shard answered a search, for clients that ask (`params.profile`).
package struct SearchProfile: Sendable, Equatable {
    package enum Strategy: String, Sendable, CaseIterable {
        /// The graph, without a filter.
        case graph
        /// Every row that may be an answer was compared.
        case scan
        /// The graph, over rows that the filter lets pass and through the others.
        case filteredGraph
        /// The graph without the filter, which was applied to what it found.
        case graphThenFilter
    }

    /// That which the answer came from; a cheaper one may have been tried before it and found too few.
    package var strategy: Strategy
    /// Rows that indexes could not exclude, of which the rest is decided by payloads; nil without a filter.
    package var possibleRows: Int?
    /// Rows that indexes know to pass.
    package var certainRows: Int?
    /// Rows that were expected to pass when the strategy was chosen.
    package var estimatedRows: Int?
    /// Rows that were compared with the query, as far as they were counted.
    package var comparisons: Int
    /// Payloads that were read and tested.
    package var checkedPayloads: Int
    /// Rows that were scored again with raw vectors.
    package var rescoredRows: Int
    /// The size of the candidate list that the search was given, or chose for a target recall.
    package var ef: Int?
    /// What the shard expects of that, for a target recall; nil while it has not seen enough queries to tell.
    package var expectedRecall: Double?
    /// How many queries it was measured on.
    package var sampledQueries: Int?

    package init(
        strategy: Strategy = .graph, possibleRows: Int? = nil, certainRows: Int? = nil, estimatedRows: Int? = nil,
        comparisons: Int = 0, checkedPayloads: Int = 0, rescoredRows: Int = 0
    ) {
        self.strategy = strategy
        self.possibleRows = possibleRows
        self.certainRows = certainRows
        self.estimatedRows = estimatedRows
        self.comparisons = comparisons
        self.checkedPayloads = checkedPayloads
        self.rescoredRows = rescoredRows
    }
}

/// What a shard says to one search.
package struct SearchAnswer: Sendable, Equatable {
    /// Best first.
    package var points: [ScoredPoint]
    /// Nil when the request did not ask for it.
    package var profile: SearchProfile?

    package init(points: [ScoredPoint], profile: SearchProfile? = nil) {
        self.points = points
        self.profile = profile
    }
}

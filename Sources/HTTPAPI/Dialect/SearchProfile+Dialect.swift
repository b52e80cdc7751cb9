import Coordinator
import DataModel

/// How a query was answered, shard by shard: Shoal's own, beside the dialect's `result`.
extension JSONWriter {
    /// `,"profile":[...]` when the query asked for it.
    mutating func profile(of answer: QueryAnswer) {
        guard !answer.profiles.isEmpty else { return }
        raw(",\"profile\":")
        shardProfiles(answer)
    }

    /// The same for a batch: a list for each query, empty for those that did not ask.
    mutating func profiles(of answers: [QueryAnswer]) {
        guard answers.contains(where: { !$0.profiles.isEmpty }) else { return }
        raw(",\"profile\":")
        array(answers) { $0.shardProfiles($1) }
    }

    private mutating func shardProfiles(_ answer: QueryAnswer) {
        array(answer.profiles) { writer, shard in
            let profile = shard.profile
            writer.raw("{\"shard\":")
            writer.integer(shard.shard.rawValue)
            writer.raw(",\"strategy\":")
            writer.string(profile.strategy.dialectName)
            writer.count("possible_rows", profile.possibleRows)
            writer.count("certain_rows", profile.certainRows)
            writer.count("estimated_rows", profile.estimatedRows)
            writer.count("comparisons", profile.comparisons)
            writer.count("checked_payloads", profile.checkedPayloads)
            writer.count("rescored_rows", profile.rescoredRows)
            writer.count("ef", profile.ef)
            if let recall = profile.expectedRecall {
                writer.raw(",\"expected_recall\":")
                writer.double(recall)
            }
            writer.count("sampled_queries", profile.sampledQueries)
            writer.raw("}")
        }
    }

    private mutating func count(_ name: StaticString, _ value: Int?) {
        guard let value else { return }
        raw(",\"")
        raw(name)
        raw("\":")
        integer(value)
    }
}

extension SearchProfile.Strategy {
    fileprivate var dialectName: String {
        switch self {
        case .graph: "graph"
        case .scan: "scan"
        case .filteredGraph: "filtered_graph"
        case .graphThenFilter: "graph_then_filter"
        }
    }
}

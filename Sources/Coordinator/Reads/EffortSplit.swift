internal import DataModel

/// How the search effort of a whole query is divided over the shards it visits.
///
/// A shard holds only a part of the nearest points, so it needs a smaller candidate list than one graph over all points
/// would. The hits of one shard vary around the mean `k / shards`, and the square root keeps room for that.
enum EffortSplit {
    /// The candidate list of each shard for a query that asked for `ef` over all of them, or for none in particular.
    ///
    /// - Parameter window: the results that each shard returns, `offset + limit`; the list is never smaller.
    static func perShard(ef: Int?, window: Int, shards: Int) -> Int {
        let ef = ef ?? SearchRequest.defaultEf
        guard shards > 1 else { return max(ef, window) }
        return max(window, Int((Double(ef) / Double(shards).squareRoot()).rounded(.up)))
    }
}

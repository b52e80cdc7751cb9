/// What the metrics mean: swift-metrics has no place for a description.
enum MetricDescriptions {
    private static let texts = [
        "shoal_hedged_reads_total": "Reads that were sent to a second replica because the first was slow.",
        "shoal_hedges_won_total": "Those among them that the second replica answered first.",
        "shoal_http_requests_total": "HTTP requests answered, by route and status.",
        "shoal_http_request_seconds": "Time from a request's head to the end of its response, by route.",
        "shoal_partial_reads_total": "Reads answered without shards that nobody answered for.",
        "shoal_queries_total": "Queries answered, each of a batch counted.",
        "shoal_query_duration_seconds": "Time to answer a query, all shards merged.",
        "shoal_read_retries_total": "Reads that were sent to another replica after a failure.",
        "shoal_requests_refused_total": "Requests refused because others took what they needed.",
        "shoal_stale_reads_total": "Reads answered with consistency=stale.",
        "shoal_write_duration_seconds": "Time until a write was on disk on every in-sync replica.",
        "shoal_write_retries_total": "Writes that were sent again after a failure.",
        "shoal_written_points_total": "Points upserted or deleted and acknowledged.",
    ]

    /// The name in words when the table does not have it.
    static func help(for name: String) -> String {
        texts[name] ?? name.split(separator: "_").joined(separator: " ")
    }
}

import DataModel

/// Puts the answers of the physical shards together.
enum Merge {
    /// The results after `offset`, at most `limit`, best first; equal scores in order of ids, so that pages are stable.
    ///
    /// - Complexity: O(n log n) in the sum of the shards' results, which is at most `shards * (offset + limit)`.
    static func nearest(
        _ perShard: [[ScoredPoint]], distance: Distance, offset: Int, limit: Int
    ) -> [ScoredPoint] {
        var all = perShard.count == 1 ? perShard[0] : Array(perShard.joined())
        all.sort { a, b in
            a.score == b.score ? a.record.id < b.record.id : distance.isNearer(a.score, than: b.score)
        }
        return Array(all.dropFirst(offset).prefix(limit))
    }

    /// A page in order of ids. Each shard was asked for `limit + 1` records, so the first one left over is the next
    /// page's start.
    static func page(_ perShard: [[Record]], limit: Int) -> ScrollPage {
        let all = perShard.joined().sorted { $0.id < $1.id }
        return ScrollPage(
            records: Array(all.prefix(limit)), next: all.count > limit ? all[limit].id : nil)
    }
}

package import DataModel

/// Puts the answers of several replicas of one shard together: of each point the newest version that any of them has.
///
/// Each in-sync replica holds every acknowledged write, and no acknowledged delete leaves a point in any of them. So this
/// does too, and besides has what is still on its way to acknowledgement in any of them.
package enum AnswerMerge {
    /// In order of ids, each once.
    package static func newest(_ answers: [[Record]]) -> [Record] {
        if answers.count == 1 { return answers[0] }
        var newest: [PointID: Record] = [:]
        for record in answers.joined() {
            if let known = newest[record.id], known.version >= record.version { continue }
            newest[record.id] = record
        }
        return newest.values.sorted { $0.id < $1.id }
    }

    /// The records of one page: each replica was asked for `limit` of them from the same id on.
    package static func page(_ answers: [[Record]], limit: Int) -> [Record] {
        answers.count == 1 ? answers[0] : Array(newest(answers).prefix(limit))
    }

    /// Best first.
    ///
    /// - Parameter limits: the points that each of the searches may return.
    package static func nearest(_ answers: [[SearchAnswer]], limits: [Int], distances: [Distance]) -> [SearchAnswer] {
        if answers.count == 1 { return answers[0] }
        return limits.indices.map { search in
            var newest: [PointID: ScoredPoint] = [:]
            for point in answers.lazy.map({ $0[search].points }).joined() {
                if let known = newest[point.record.id], known.record.version >= point.record.version { continue }
                newest[point.record.id] = point
            }
            let points = Merge.nearest(
                [Array(newest.values)], distance: distances[search], offset: 0, limit: limits[search])
            return SearchAnswer(points: points, profile: answers[0][search].profile)
        }
    }

    /// Each count has all acknowledged points.
    package static func count(_ answers: [UInt64]) -> UInt64 { answers.max() ?? 0 }
}

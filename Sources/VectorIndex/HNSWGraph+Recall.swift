extension HNSWGraph {
    /// What share of the true nearest rows searches find, for each of some efforts.
    ///
    /// Every row below `visibleRows` is compared with the query: by 8-bit codes, of which the best few hundred are compared
    /// again by raw vectors, or by raw vectors where there are no such codes.
    /// - Parameters:
    ///   - depths: recall is measured at each of these numbers of results.
    ///   - efs: ascending.
    /// - Returns: `[depths.count][efs.count]` recalls; nil when there are fewer rows than the largest depth.
    package func measureRecall(
        query: UnsafePointer<Float>, depths: [Int], efs: [Int], visibleRows: UInt32, deleted: DeletedRows
    ) -> [[Double]]? {
        let deepest = depths.max() ?? 0
        let truth = nearestOfAll(query: query, k: deepest, visibleRows: visibleRows, deleted: deleted)
        guard deepest > 0, truth.count == deepest else { return nil }
        var recalls = depths.map { _ in [Double]() }
        for ef in efs {
            for (index, depth) in depths.enumerated() {
                let found = search(query: query, k: depth, ef: ef, visibleRows: visibleRows, deleted: deleted)
                // Rows that are as near as the last true one are as good: equal vectors have no order.
                let farthest = truth[depth - 1].distance
                recalls[index].append(Double(found.count { $0.distance <= farthest }) / Double(depth))
            }
        }
        return recalls
    }

    /// More than any order that rounding to 8 bits can change.
    private static var rescoringDepth: Int { 4 }

    private func nearestOfAll(
        query: UnsafePointer<Float>, k: Int, visibleRows: UInt32, deleted: DeletedRows
    ) -> [Neighbour] {
        let rows = 0..<min(visibleRows, count)
        guard let codes, codes.canBuild else { return scan(query: query, k: k, rows: rows, deleted: deleted) }
        var found = withExtendedLifetime(codes) {
            codes.withQuery(query) {
                scan(codes.comparison, query: $0, k: k * Self.rescoringDepth, rows: rows, deleted: deleted)
            }
        }
        rescore(&found, query: query, k: k)
        return found
    }
}

import Coordinator
import DataModel
import Testing

struct AnswerMergeTests {
    private func record(_ id: UInt64, version: UInt64) -> Record {
        Record(id: .number(id), version: SequenceNumber(version), payload: nil, vectors: nil)
    }

    private func found(_ id: UInt64, version: UInt64, _ score: Float) -> ScoredPoint {
        ScoredPoint(record: record(id, version: version), score: score)
    }

    @Test func theNewestVersionOfEachPointIsKept() {
        let merged = AnswerMerge.newest([
            [record(1, version: 4), record(3, version: 2)],
            [record(1, version: 5), record(2, version: 1)],
            [record(1, version: 3), record(3, version: 2)],
        ])
        #expect(merged == [record(1, version: 5), record(2, version: 1), record(3, version: 2)])
    }

    @Test func aPageIsWholeUpToItsEnd() {
        // What one replica does not have yet, or any more, shifts its page.
        let merged = AnswerMerge.page(
            [[record(1, version: 1), record(3, version: 1), record(4, version: 1)],
             [record(1, version: 1), record(2, version: 9), record(3, version: 1)]], limit: 3)
        #expect(merged.map(\.id) == [.number(1), .number(2), .number(3)])
    }

    @Test(arguments: Distance.allCases)
    func hitsAreMergedByVersionAndRankedByScore(distance: Distance) {
        let (near, far): (Float, Float) = distance.largerIsNearer ? (0.9, 0.1) : (0.1, 0.9)
        let merged = AnswerMerge.nearest(
            [
                [SearchAnswer(points: [found(1, version: 1, near), found(2, version: 1, 0.5)])],
                [SearchAnswer(points: [found(3, version: 1, 0.4), found(1, version: 2, far)])],
            ], limits: [3], distances: [distance])
        #expect(merged.count == 1)
        #expect(Set(merged[0].points.map(\.record.id)) == [.number(1), .number(2), .number(3)])
        #expect(merged[0].points.last == found(1, version: 2, far), "the older version was nearer")
        let cut = AnswerMerge.nearest(
            [[SearchAnswer(points: [found(1, version: 1, near)])], [SearchAnswer(points: [found(2, version: 1, far)])]],
            limits: [1], distances: [distance])
        #expect(cut[0].points == [found(1, version: 1, near)])
    }

    @Test func consistencyNeedsSoManyOfTheCopies() {
        let table: [(ReadConsistency, copies: Int, needed: Int)] = [
            (.one, 3, 1), (.stale, 3, 1), (.factor(2), 3, 2), (.factor(9), 3, 3), (.majority, 1, 1), (.majority, 2, 2),
            (.majority, 3, 2), (.majority, 5, 3), (.quorum, 3, 2), (.all, 3, 3), (.all, 1, 1),
        ]
        for (consistency, copies, needed) in table {
            #expect(consistency.needed(copies: copies) == needed, "\(consistency) of \(copies)")
        }
        #expect(ReadConsistency.quorum.asked(copies: 3, available: 3) == 3)
        #expect(ReadConsistency.majority.asked(copies: 3, available: 3) == 2)
        #expect(ReadConsistency.all.asked(copies: 3, available: 2) == 2)
    }
}

import DataModel
import Shard
import Testing

/// What the planner chooses and says of it, over a shard whose filters let known shares of the rows pass.
struct FilterPlanTests {
    private static let rows = 6_000

    /// `r` is indexed and goes through 0 ..< 1,000; `plain` is the same without an index.
    private static func shard(_ fixture: ShardFixture) async throws -> Shard {
        let shard = try fixture.open()
        var generator = SeededGenerator(seed: 21)
        try await shard.setPayloadIndexes([PayloadIndexConfig(path: PayloadPath("r"), kind: .integer)])
        try await shard.upsert(
            (0..<rows).map {
                point(UInt64($0), generator.vector(16), payload: #"{"r":\#($0 % 1_000),"plain":\#($0 % 1_000)}"#)
            })
        #expect(try await eventually { shard.unindexedRows == 0 })
        return shard
    }

    private static func below(_ bound: Int, _ path: String = "r") -> FilterCondition {
        .field(PayloadPath(path), .range(NumberRange(lt: Double(bound))))
    }

    private static func answer(
        _ shard: Shard, _ filter: Filter?, _ vector: [Float], exact: Bool = false
    ) async throws -> (ids: [PointID], profile: SearchProfile) {
        let request = SearchRequest(
            space: "", vector: vector, limit: 10, exact: exact, filter: filter, profile: true)
        let answer = try await shard.search([request], deadline: .after(soon))[0]
        return (answer.points.map(\.record.id), try #require(answer.profile))
    }

    @Test func aProfileSaysWhatTheIndexesKnow() async throws {
        let fixture = try ShardFixture()
        let shard = try await Self.shard(fixture)
        var generator = SeededGenerator(seed: 22)
        let vector = generator.vector(16)
        for permille in [2, 990] {
            let (ids, profile) = try await Self.answer(shard, Filter(must: [Self.below(permille)]), vector)
            // Of so small a shard every row is quickly compared.
            #expect(profile.strategy == .scan)
            #expect(profile.possibleRows == Self.rows / 1_000 * permille)
            #expect(profile.certainRows == profile.possibleRows)
            #expect(profile.checkedPayloads == 0)
            #expect(ids.count == 10)
        }
        #expect(try await Self.answer(shard, nil, vector).profile.strategy == .graph)
        #expect(try await Self.answer(shard, nil, vector, exact: true).profile.strategy == .scan)
        await shard.close()
    }

    /// Of a million rows with codes of 392 bytes.
    @Test(
        arguments: [
            (500, nil, .scan), (10_000, nil, .scan), (30_000, nil, .filteredGraph), (300_000, nil, .graphThenFilter),
            (900_000, nil, .graphThenFilter),
            // Near the query many or hardly any pass.
            (50_000, 0.6, .graphThenFilter), (300_000, 0.001, .filteredGraph),
        ] as [(Int, Double?, SearchProfile.Strategy)])
    func theWayFollowsFromHowManyRowsPass(allowed: Int, nearby: Double?, strategy: SearchProfile.Strategy) {
        var cost = SearchCost(rows: 1_000_000, allowed: allowed, wanted: 10, ef: 128, rowBytes: 392)
        if let nearby { cost.shareNearby = nearby }
        #expect(cost.best == strategy)
        #expect([cost.scan, cost.graphThenFilter, cost.filteredGraph].allSatisfy { $0 > 0 })
    }

    @Test func payloadsAreReadOnlyWhereIndexesLeaveRowsOpen() async throws {
        let fixture = try ShardFixture()
        let shard = try await Self.shard(fixture)
        var generator = SeededGenerator(seed: 23)
        let vector = generator.vector(16)
        // The index leaves 60 rows, of which the other condition decides.
        let both = Filter(must: [Self.below(10), Self.below(5, "plain")])
        let (ids, profile) = try await Self.answer(shard, both, vector)
        #expect(ids == (try await Self.answer(shard, both, vector, exact: true).ids))
        #expect(profile.checkedPayloads <= 60)
        // Nearly all rows pass: the nearest are looked at, not all.
        let most = try await Self.answer(shard, Filter(must: [Self.below(900, "plain")]), vector)
        #expect(most.profile.checkedPayloads < 100)
        #expect(most.ids.count == 10)
        // Hardly any passes: there is no way but to look at all, and they are found.
        let few = try await Self.answer(shard, Filter(must: [Self.below(1, "plain")]), vector)
        #expect(few.ids.count == 6)
        #expect(few.profile.checkedPayloads <= Self.rows)
        await shard.close()
    }

    /// Those that pass are a quarter of the rows, and none of them is near the query.
    @Test(arguments: [true, false])
    func asManyAsThereAreAreFoundFarFromTheQuery(isIndexed: Bool) async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        var generator = SeededGenerator(seed: 24)
        if isIndexed {
            try await shard.setPayloadIndexes([PayloadIndexConfig(path: PayloadPath("far"), kind: .bool)])
        }
        try await shard.upsert(
            (0..<4_000).map { number in
                let isFar = number % 4 == 0
                let vector = generator.vector(16).map { isFar ? $0 + 50 : $0 }
                return point(UInt64(number), vector, payload: #"{"far":\#(isFar)}"#)
            })
        #expect(try await eventually { shard.unindexedRows == 0 })
        let filter = Filter(must: [.field(PayloadPath("far"), .any([.bool(true)]))])
        for _ in 0..<20 {
            let vector = generator.vector(16)
            let found = try await Self.answer(shard, filter, vector)
            let truth = try await Self.answer(shard, filter, vector, exact: true)
            #expect(found.ids.count == 10)
            #expect(Set(found.ids).intersection(truth.ids).count >= 8)
        }
        await shard.close()
    }

    @Test func scrollsAndCountsAreThoseOfTheSetsOfRows() async throws {
        let fixture = try ShardFixture()
        let shard = try await Self.shard(fixture)
        _ = try await shard.append(.delete((0..<500).map { .number(UInt64($0 * 3)) }), epoch: Epoch(1))
        var generator = SeededGenerator(seed: 25)
        try await shard.upsert((0..<50).map { point(UInt64($0 * 7), generator.vector(16), payload: #"{"r":1}"#) })
        let all = try await shard.all()
        func number(_ record: Record) -> Int {
            let text = String(decoding: record.payload?.json ?? [], as: UTF8.self)
            return Int(text.dropFirst(5).prefix { $0.isNumber }) ?? -1
        }
        for bound in [0, 2, 300, 1_000] {
            let passing = all.filter { number($0) < bound }
            for path in ["r", "missing"] {
                let filter =
                    path == "r" ? Filter(must: [Self.below(bound)]) : Filter(mustNot: [Self.below(bound, path)])
                let expected = path == "r" ? passing : all
                #expect(try await shard.count(filter, deadline: .after(soon)) == UInt64(expected.count))
                var scrolled: [Record] = []
                var start: PointID?
                repeat {
                    let request = ScrollRequest(
                        start: start, limit: 701, filter: filter, withPayload: true, withVectors: .all)
                    let page = try await shard.scroll(request, deadline: .after(soon))
                    scrolled += page.prefix(700)
                    start = page.count == 701 ? page.last?.id : nil
                } while start != nil
                #expect(scrolled == expected)
            }
        }
        await shard.close()
    }
}

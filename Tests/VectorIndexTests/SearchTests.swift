import DataModel
import Testing
import VectorIndex

@Suite struct SearchTests {
    @Test(arguments: [Metric.innerProduct, .squaredEuclid, .manhattan])
    func insertedPointsAreFoundWithRecallAbove95(metric: Metric) throws {
        let fixture = try Fixture(metric: metric, count: 5_000)
        let recall = fixture.recall()
        #expect(recall >= 0.95, "recall \(recall)")
    }

    @Test func resultsAreNearestFirstWithTheirDistancesAndNoRowTwice() throws {
        let fixture = try Fixture(metric: .manhattan)
        for query in fixture.queries {
            let found = fixture.search(query)
            #expect(found == found.sorted())
            #expect(Set(found.map(\.slot)).count == Fixture.k)
            for neighbour in found {
                let distance = fixture.distance(query, fixture.rows[Int(neighbour.slot)])
                #expect(abs(Double(neighbour.distance) - distance) < 1e-4)
            }
        }
    }

    @Test(arguments: [Metric.innerProduct, .squaredEuclid, .manhattan])
    func scansAreExact(metric: Metric) throws {
        let fixture = try Fixture(metric: metric, count: 1_100, inserts: false)
        for query in fixture.queries {
            let found = fixture.graph.scan(query: query, k: 10, rows: 0..<1_100, deleted: .none)
            #expect(found.map(\.slot) == fixture.truth(query))
        }
        let middle = fixture.graph.scan(query: fixture.queries[0], k: 2_000, rows: 250..<777, deleted: .none)
        #expect(Set(middle.map(\.slot)) == Set(250..<777))
    }

    @Test func aScanOfTheTailCompletesASearchOfTheGraph() throws {
        let fixture = try Fixture(count: 3_000, inserts: false)
        while fixture.graph.count < 2_000 { _ = fixture.graph.insertNext(below: 2_000) }
        for query in fixture.queries {
            let graph = fixture.search(query, ef: 200, visibleRows: 2_000)
            let tail = fixture.graph.scan(query: query, k: 10, rows: 2_000..<3_000, deleted: .none)
            let merged = Neighbour.merge(graph, tail, limit: 10)
            #expect(merged == merged.sorted() && merged.count == 10)
            #expect(Set(merged.map(\.slot)).intersection(fixture.truth(query)).count >= 8)
        }
    }

    @Test func rowsBeyondTheVisibleOnesAreNotReturned() throws {
        let fixture = try Fixture(count: 2_000)
        for query in fixture.queries {
            let found = fixture.search(query, visibleRows: 500)
            #expect(found.allSatisfy { $0.slot < 500 })
            #expect(Set(found.map(\.slot)).intersection(fixture.truth(query, visibleRows: 500)).count >= 8)
        }
    }

    @Test(arguments: [0.1, 0.5, 0.9, 0.995])
    func deletedRowsAreNeverReturnedAndTheSearchStillFindsK(fraction: Double) throws {
        let fixture = try Fixture(count: 4_000)
        var generator = SeededGenerator(seed: 3)
        let dead = Set((0..<UInt32(4_000)).filter { _ in Double.random(in: 0..<1, using: &generator) < fraction })
        let deleted = DeletedSet(rows: 4_000) { dead.contains($0) }
        var hits = 0
        for query in fixture.queries {
            let found = deleted.withView { fixture.search(query, deleted: $0) }
            #expect(found.count == min(Fixture.k, 4_000 - dead.count))
            #expect(found.allSatisfy { !dead.contains($0.slot) })
            hits += Set(found.map(\.slot)).intersection(fixture.truth(query) { !dead.contains($0) }).count
            let scanned = deleted.withView { fixture.graph.scan(query: query, k: 10, rows: 0..<4_000, deleted: $0) }
            #expect(scanned.map(\.slot) == fixture.truth(query) { !dead.contains($0) })
        }
        #expect(Double(hits) / Double(10 * fixture.queries.count) >= 0.95)
    }

    @Test func deletedRowsBeyondTheFirstChunkAreKnown() {
        let deleted = DeletedSet(rows: 100_000) { $0 == 70_000 || $0 == 32_767 }
        deleted.withView { view in
            #expect(view.contains(70_000) && view.contains(32_767))
            #expect(!view.contains(32_768) && !view.contains(40_000) && !view.contains(200_000))
        }
        #expect(!DeletedRows.none.contains(0))
    }

    @Test func smallGraphsAnswerWithWhatTheyHave() throws {
        let empty = try Fixture(count: 0)
        #expect(empty.search(empty.queries[0]).isEmpty)
        #expect(empty.graph.scan(query: empty.queries[0], k: 3, rows: 0..<0, deleted: .none).isEmpty)
        #expect(empty.graph.insertNext(below: 0) == nil)

        let single = try Fixture(count: 1)
        #expect(single.search(single.queries[0]).map(\.slot) == [0])
        #expect(single.search(single.queries[0], visibleRows: 0).isEmpty)
        #expect(single.search(single.queries[0], k: 0).isEmpty)

        let few = try Fixture(count: 20)
        #expect(few.search(few.queries[0], k: 50, ef: 10).map(\.slot) == few.truth(few.queries[0], k: 20))
        let one = try Fixture(count: 300)
        #expect(one.search(one.queries[0], k: 1, ef: 1).count == 1)
    }

    @Test func equalVectorsAllStayReachable() throws {
        let dimension = 8
        let raw = try RawRows(dimension: dimension, datatype: .float32, distance: .euclid, maximumRows: 600)
        for slot in 0..<UInt32(600) { raw.write([Float](repeating: 1, count: dimension), at: slot) }
        let graph = try HNSWGraph(
            parameters: .init(m: 8, efConstruct: 64), raw: raw, quantization: .none, maximumRows: 600)
        while graph.insertNext(below: 600) != nil {}
        let query = [Float](repeating: 1, count: dimension)
        let found = graph.search(query: query, k: 100, ef: 100, visibleRows: 600, deleted: .none)
        #expect(found.count == 100)
        #expect(found.allSatisfy { $0.distance == 0 })
    }

    @Test(arguments: Quantization.allCases)
    func vectorsThatAreNotNumbersDoNotStopSearches(quantization: Quantization) throws {
        let fixture = try Fixture(count: 1_000, inserts: false, quantization: quantization)
        for slot in stride(from: UInt32(0), to: 1_000, by: 10) {
            let value: Float = slot % 20 == 0 ? .nan : .infinity
            fixture.raw.write([Float](repeating: value, count: fixture.dimension), at: slot)
        }
        fixture.insertAll()
        #expect(fixture.graph.count == 1_000)
        for query in fixture.queries { #expect(fixture.search(query).count <= Fixture.k) }
        _ = fixture.search([Float](repeating: .nan, count: fixture.dimension))
    }

    @Test func scoresAreWhatTheDistancesOfTheAPIMean() {
        #expect(Distance.cosine.score(fromIndexDistance: -0.5) == 0.5)
        #expect(Distance.dot.score(fromIndexDistance: -7) == 7)
        #expect(Distance.euclid.score(fromIndexDistance: 9) == 3)
        #expect(Distance.manhattan.score(fromIndexDistance: 9) == 9)
    }
}

import Testing
import VectorIndex

struct FilteredSearchTests {
    private func recall(
        _ fixture: Fixture, _ allowed: AllowedSet, ef: Int, isAllowed: (UInt32) -> Bool
    ) -> Double {
        var (hits, wanted) = (0, 0)
        for query in fixture.queries {
            let truth = fixture.truth(query, isLive: isAllowed)
            let walk = allowed.withView {
                fixture.graph.search(query: query, k: Fixture.k, ef: ef, allowed: $0, budget: .max)
            }
            #expect(walk.isComplete)
            #expect(walk.neighbours.allSatisfy { isAllowed($0.slot) })
            #expect(walk.neighbours == walk.neighbours.sorted())
            wanted += truth.count
            hits += walk.neighbours.count { truth.contains($0.slot) }
        }
        return Double(hits) / Double(wanted)
    }

    /// One row in `step` is allowed.
    @Test(arguments: [2, 5, 10])
    func walksOverAllowedRowsFindTheirNearest(step: UInt32) throws {
        let fixture = try Fixture(count: 6_000)
        let isAllowed = { (row: UInt32) in row &* 2_654_435_761 >> 8 % step == 0 }
        let recall = recall(fixture, AllowedSet(rows: fixture.count, isAllowed: isAllowed), ef: 96, isAllowed: isAllowed)
        print("recall with one row in \(step) allowed: \(recall)")
        #expect(recall > 0.95)
    }

    @Test func anEmptySetYieldsNothing() throws {
        let fixture = try Fixture(count: 1_000)
        let nothing = AllowedSet(rows: fixture.count) { _ in false }
        let walk = nothing.withView {
            fixture.graph.search(query: fixture.queries[0], k: 10, ef: 50, allowed: $0, budget: .max)
        }
        #expect(walk.neighbours.isEmpty)
    }

    @Test func aBudgetEndsTheWalk() throws {
        let fixture = try Fixture(count: 6_000)
        let half = AllowedSet(rows: fixture.count) { $0 % 2 == 0 }
        let walk = half.withView {
            fixture.graph.search(query: fixture.queries[0], k: 10, ef: 500, allowed: $0, budget: 200)
        }
        #expect(!walk.isComplete)
        #expect(walk.comparisons < 400)
    }

    @Test func oneSearchLeavesNothingBehindForTheNext() throws {
        let fixture = try Fixture(count: 3_000)
        let half = AllowedSet(rows: fixture.count) { $0 % 2 == 0 }
        let before = fixture.queries.map { fixture.search($0) }
        for query in fixture.queries {
            _ = half.withView { fixture.graph.search(query: query, k: 10, ef: 50, allowed: $0, budget: .max) }
        }
        #expect(fixture.queries.map { fixture.search($0) } == before)
    }

    @Test func scansOfChosenRowsAreExact() throws {
        let fixture = try Fixture(count: 2_000)
        let slots = (0..<UInt32(2_000)).filter { $0 % 7 == 3 }
        for query in fixture.queries {
            let found = slots.withUnsafeBufferPointer { fixture.graph.scan(query: query, k: 10, slots: $0) }
            #expect(found.map(\.slot) == fixture.truth(query) { $0 % 7 == 3 })
        }
    }
}

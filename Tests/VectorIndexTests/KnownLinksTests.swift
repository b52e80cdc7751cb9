import DataModel
import Dispatch
import Testing
import VectorIndex

/// A graph that takes over the links which another one of the same rows has found.
@Suite struct KnownLinksTests {
    private static let rowsPerPage = 256

    private func graphs(_ quantization: Quantization) throws -> (leader: Fixture, follower: Fixture) {
        let fixtures = try (0..<2).map { _ in
            try Fixture(metric: .innerProduct, count: 6_000, inserts: false, quantization: quantization)
        }
        return (fixtures[0], fixtures[1])
    }

    /// Inserts all rows into the follower, page by page, when the leader is `lag` rows ahead.
    private func follow(_ leader: Fixture, with follower: Fixture, lag: Int, threads: Int = 1) {
        while Int(follower.graph.count) < leader.count {
            let first = follower.graph.count
            let wanted = min(leader.count, Int(first) + lag)
            while Int(leader.graph.count) < wanted { _ = leader.graph.insertNext(below: UInt32(leader.count)) }
            let page = leader.graph.earlierLinks(from: first, maximumRows: Self.rowsPerPage)
            DispatchQueue.concurrentPerform(iterations: threads) { _ in
                while follower.graph.insertNext(below: page.end, known: page) != nil {}
            }
        }
    }

    private func adopted(_ fixture: Fixture) -> Int { Int(fixture.graph.adoptedRowCount) }

    @Test(arguments: [Quantization.none, .scalar], [256, 2_000, 6_000])
    func aFollowersRecallIsTheLeaders(_ quantization: Quantization, lag: Int) throws {
        let (leader, follower) = try graphs(quantization)
        follow(leader, with: follower, lag: lag)
        for ef in [10, 20, 80] { #expect(follower.recall(ef: ef) >= leader.recall(ef: ef) - 0.02) }
        // All but those of upper layers, and the first when the leader is far ahead.
        #expect(adopted(follower) >= leader.count * 3 / 4)
        #expect(adopted(leader) == 0)
    }

    @Test func manyThreadsFollow() throws {
        let (leader, follower) = try graphs(.scalar)
        follow(leader, with: follower, lag: 1_000, threads: 4)
        #expect(Int(follower.graph.count) == leader.count)
        #expect(follower.recall() >= leader.recall() - 0.02)
        #expect(adopted(follower) >= leader.count / 2)
    }

    @Test func linksThatLeadNowhereAreNotTaken() throws {
        let fixture = try Fixture(count: 2_000, inserts: false)
        var page = LinkPage(first: 0)
        // Rows to come, rows of no graph, and the row itself.
        for slot in 0..<UInt32(fixture.count) { page.append([slot, slot + 1, .max, 1 << 31]) }
        while fixture.graph.insertNext(below: UInt32(fixture.count), known: page) != nil {}
        #expect(adopted(fixture) == 0)
        #expect(fixture.recall() >= (try Fixture(count: 2_000)).recall() - 0.01)
    }

    @Test func rowsThatWereDeadBeforeLeadNowhere() throws {
        let (leader, follower) = try graphs(.none)
        leader.insertAll()
        let isDead = { (slot: UInt32) in slot % 3 == 0 }
        let dead = DeletedSet(rows: leader.count, isDeleted: isDead)
        dead.withView { dead in
            while Int(follower.graph.count) < leader.count {
                let page = leader.graph.earlierLinks(from: follower.graph.count, maximumRows: Self.rowsPerPage)
                while follower.graph.insertNext(below: page.end, skipping: dead, known: page) != nil {}
            }
            var found = 0
            for query in follower.queries {
                let truth = Set(follower.truth(query) { !isDead($0) })
                found += follower.search(query, deleted: dead).count { truth.contains($0.slot) }
            }
            #expect(Double(found) >= 0.95 * Double(Fixture.k * follower.queries.count))
        }
        #expect(adopted(follower) > 0)
    }

    @Test func aPageHasNoMoreRowsThanTheGraph() throws {
        let fixture = try Fixture(count: 300)
        #expect(fixture.graph.earlierLinks(from: 200, maximumRows: 256).end == 300)
        #expect(fixture.graph.earlierLinks(from: 300, maximumRows: 256).rowCount == 0)
        #expect(fixture.graph.earlierLinks(from: .max, maximumRows: .max).rowCount == 0)
        let page = fixture.graph.earlierLinks(from: 0, maximumRows: 256)
        #expect(page.rowCount == 256)
        for slot in 0..<page.end { #expect(page.links(of: slot)?.allSatisfy { $0 < slot } == true) }
        #expect(page.links(of: 256) == nil)
    }
}

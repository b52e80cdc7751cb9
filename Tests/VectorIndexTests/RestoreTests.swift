import DataModel
import Testing
import VectorIndex

@Suite struct RestoreTests {
    /// A graph over copies of another's blocks, as after a restart.
    private final class Restored {
        let graph: HNSWGraph
        private var copies: [UnsafeMutableRawPointer] = []

        /// - Parameter damage: may change each copied block.
        init(
            _ fixture: Fixture, state: HNSWGraph.State? = nil,
            damage: (Column, UnsafeMutableRawPointer) -> Void = { _, _ in }
        ) throws {
            let original = fixture.graph
            graph = try HNSWGraph(
                parameters: original.parameters, raw: fixture.raw, quantization: original.quantization,
                maximumRows: original.nodes.maximumRows)
            if let codebook = original.bitCodebook { try graph.restore(codebook) }
            var columns = [
                (original.levelZeroLinks, graph.levelZeroLinks), (original.nodes, graph.nodes),
                (original.upperLinks, graph.upperLinks),
            ]
            if let codes = original.codeColumn, let restored = graph.codeColumn { columns.append((codes, restored)) }
            let saved = original.withInsertionsPaused { (original.state, columns.map { $0.0.freezeDirty() }) }
            for ((source, target), blocks) in zip(columns, saved.1) {
                for block in blocks {
                    let copy = UnsafeMutableRawPointer.allocate(byteCount: source.blockBytes, alignment: 64)
                    copy.copyMemory(from: block.pointer, byteCount: source.blockBytes)
                    damage(target, copy)
                    target.publish(copy, asBlock: block.number)
                    copies.append(copy)
                }
                source.thaw(blocks)
            }
            try graph.restore(state ?? saved.0)
        }

        deinit { for copy in copies { copy.deallocate() } }
    }

    @Test(arguments: Quantization.allCases)
    func aRestoredGraphGivesIdenticalResults(quantization: Quantization) throws {
        let fixture = try Fixture(quantization: quantization)
        let restored = try Restored(fixture)
        #expect(restored.graph.state == fixture.graph.state)
        for query in fixture.queries {
            let found = restored.graph.search(query: query, k: 10, ef: 60, visibleRows: 3_000, deleted: .none)
            #expect(found == fixture.search(query, ef: 60))
        }
    }

    @Test func aRestoredGraphGoesOnGrowing() throws {
        let fixture = try Fixture(count: 3_000, inserts: false)
        while fixture.graph.count < 2_000 { _ = fixture.graph.insertNext(below: 2_000) }
        let restored = try Restored(fixture)
        fixture.insertAll()
        while restored.graph.insertNext(below: 3_000) != nil {}
        #expect(restored.graph.state == fixture.graph.state, "insertion is deterministic with one thread")
        for query in fixture.queries {
            let found = restored.graph.search(query: query, k: 10, ef: 60, visibleRows: 3_000, deleted: .none)
            #expect(found == fixture.search(query, ef: 60))
        }
    }

    @Test func anEmptyGraphIsRestored() throws {
        let restored = try Restored(try Fixture(count: 0), state: .empty)
        #expect(restored.graph.count == 0)
    }

    @Test func aStateThatDoesNotFitTheBlocksIsRefused() throws {
        let fixture = try Fixture(count: 500)
        let good = fixture.graph.state
        var states = [HNSWGraph.State](repeating: good, count: 7)
        states[0].count = 501
        states[1].entryPoint = 500
        states[2].entryPoint = nil
        states[3].count = 0
        states[4].maximumLevel = -1
        states[5].maximumLevel = 1_000
        states[6].upperRows = .max
        for state in states {
            #expect(throws: VectorIndexError.self) { try Restored(fixture, state: state) }
        }
        let bare = try HNSWGraph(
            parameters: fixture.graph.parameters, raw: fixture.raw, quantization: .none, maximumRows: 500)
        #expect(throws: VectorIndexError.damaged(reason: "block 0 of the level-0 links is missing")) {
            try bare.restore(good)
        }
    }

    @Test(arguments: 1...12)
    func garbageInLinkBlocksNeverStopsSearchesOrInsertions(seed: Int) throws {
        let fixture = try Fixture(count: 1_500, inserts: false)
        while fixture.graph.count < 1_000 { _ = fixture.graph.insertNext(below: 1_000) }
        var generator = SeededGenerator(seed: UInt64(seed))
        let restored = try Restored(fixture) { column, block in
            let words = block.assumingMemoryBound(to: UInt32.self)
            for index in 0..<column.blockBytes / 4 where Int.random(in: 0..<4, using: &generator) < seed % 4 + 1 {
                // Words of any size, and such as could be slots.
                let bound: UInt32 = Bool.random(using: &generator) ? 2_000 : .max
                words[index] = UInt32.random(in: 0..<bound, using: &generator)
            }
        }
        for query in fixture.queries {
            let found = restored.graph.search(query: query, k: 10, ef: 50, visibleRows: 1_000, deleted: .none)
            #expect(found.allSatisfy { $0.slot < 1_000 })
        }
        while restored.graph.insertNext(below: 1_500) != nil {}
        #expect(restored.graph.count == 1_500)
    }
}

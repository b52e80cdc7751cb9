import Foundation
import Synchronization
import Testing
import VectorIndex

@Suite struct ConcurrencyTests {
    /// Runs each body on a thread of its own and waits for all.
    private func onThreads(_ bodies: [@Sendable () -> Void]) async {
        await withTaskGroup(of: Void.self) { group in
            for body in bodies {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        Thread {
                            body()
                            continuation.resume()
                        }.start()
                    }
                }
            }
        }
    }

    @Test func insertingFromFourThreadsWhileSearchingGivesTheSameRecall() async throws {
        let fixture = try Fixture(count: 6_000, inserts: false)
        let (graph, queries) = (fixture.graph, fixture.queries)
        let mistakes = Atomic<Int>(0)
        let inserters = (0..<4).map { _ in
            { @Sendable in while graph.insertNext(below: 6_000) != nil {} }
        }
        let searchers = (0..<2).map { _ in
            { @Sendable in
                while graph.count < 6_000 {
                    for query in queries {
                        let visible = graph.count
                        let found = graph.search(query: query, k: 10, ef: 40, visibleRows: visible, deleted: .none)
                        let isSound = found == found.sorted() && found.allSatisfy { $0.slot < visible }
                            && Set(found.map(\.slot)).count == found.count
                        if !isSound { mistakes.add(1, ordering: .relaxed) }
                    }
                }
            }
        }
        await onThreads(inserters + searchers)
        #expect(mistakes.load(ordering: .relaxed) == 0)
        #expect(graph.count == 6_000)
        let (concurrent, alone) = (fixture.recall(), try Fixture(count: 6_000).recall())
        #expect(concurrent >= 0.95 && concurrent >= alone - 0.02, "concurrent \(concurrent), alone \(alone)")
    }

    @Test func checkpointsWhileInsertingAndSearchingLoseNothing() async throws {
        let fixture = try Fixture(count: 5_000, inserts: false)
        let (graph, queries) = (fixture.graph, fixture.queries)
        let columns = [graph.levelZeroLinks, graph.nodes, graph.upperLinks]
        let inserters = (0..<3).map { _ in
            { @Sendable in while graph.insertNext(below: 5_000) != nil {} }
        }
        let searcher = { @Sendable in
            while graph.count < 5_000 {
                for query in queries {
                    _ = graph.search(query: query, k: 10, ef: 40, visibleRows: graph.count, deleted: .none)
                }
            }
        }
        let keeper = Mutex(Saved())
        let checkpointer = { @Sendable in
            while graph.count < 5_000 {
                let frozen = graph.withInsertionsPaused { columns.map { $0.freezeDirty() } }
                for (column, blocks) in zip(columns, frozen) {
                    for block in blocks {
                        let copy = UnsafeMutableRawPointer.allocate(byteCount: column.blockBytes, alignment: 64)
                        copy.copyMemory(from: block.pointer, byteCount: column.blockBytes)
                        column.replace(block, with: copy)
                        keeper.withLock { $0.mapped.append(UInt(bitPattern: copy)) }
                    }
                    // A searcher may still read them.
                    if let retired = column.takeRetired() { keeper.withLock { $0.retired.append(retired) } }
                }
            }
        }
        await onThreads(inserters + [searcher, checkpointer])
        let recall = fixture.recall()
        #expect(recall >= 0.95, "recall \(recall)")
        keeper.withLock { saved in
            #expect(!saved.mapped.isEmpty)
            saved.retired = []
        }
        // The mapped copies stay published until the graph is gone, so they are left to the process.
    }

    private struct Saved {
        var mapped: [UInt] = []
        var retired: [RetiredBlocks] = []
    }

    @Test func inAPauseExactlyTheCountedRowsAreInTheGraph() async throws {
        let fixture = try Fixture(count: 2_000, inserts: false)
        let graph = fixture.graph
        let mistakes = Atomic<Int>(0)
        let inserters = (0..<3).map { _ in
            { @Sendable in while graph.insertNext(below: 2_000) != nil {} }
        }
        let pauser = { @Sendable in
            while graph.count < 2_000 {
                graph.withInsertionsPaused {
                    let (before, state) = (graph.count, graph.state)
                    let isSound = state.count == before && state == graph.state
                        && (state.entryPoint.map { $0 < state.count } ?? (state.count == 0))
                    if !isSound { mistakes.add(1, ordering: .relaxed) }
                }
            }
        }
        await onThreads(inserters + [pauser])
        #expect(mistakes.load(ordering: .relaxed) == 0)
    }
}

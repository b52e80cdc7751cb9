import DataModel
import Shard
import Testing

@Suite struct ClosingTests {
    private static let dimension = 512

    private static func fill(_ shard: Shard, rows: Int, seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        for first in stride(from: 0, to: rows, by: 500) {
            try await shard.upsert(
                (first..<min(first + 500, rows)).map { point(UInt64($0), generator.vector(dimension)) })
        }
    }

    /// Jobs that were done, or waited for their turn, behind those of shards that are never through held its files.
    @Test func aClosedShardLetsItsFilesGoWhileOthersAreIndexed() async throws {
        let fixture = try ShardFixture(spaces: [VectorSpace(name: "", dimension: Self.dimension, distance: .euclid)])
        let busy = [try fixture.open("one"), try fixture.open("other")]
        var closed: Shard? = try fixture.open("closed")
        for (seed, shard) in busy.enumerated() { try await Self.fill(shard, rows: 6_000, seed: UInt64(seed)) }
        if let closed { try await Self.fill(closed, rows: 100, seed: 9) }
        #expect(try await eventually { closed?.unindexedRows == 0 })
        await closed?.close()
        closed = nil
        #expect(try await eventually { !Shard.isOpen(folder: fixture.folder + "/closed") })
        #expect(busy.allSatisfy { $0.unindexedRows > 0 }, "the others were through before")
        for shard in busy { await shard.close() }
    }
}

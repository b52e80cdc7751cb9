import DataModel
import Shard
import Synchronization
import Testing

@Suite struct CheckpointTests {
    private static let rows = 16_000
    private static let batch = 100
    private static let writers = 8

    /// The highest values that were seen.
    private final class Peaks: Sendable {
        let unindexedRows = Mutex(0)
        let overlayBytes = Mutex(UInt64(0))

        func note(_ shard: Shard) {
            let (rows, bytes) = (shard.unindexedRows, shard.figures().overlayBytes)
            unindexedRows.withLock { $0 = max($0, rows) }
            overlayBytes.withLock { $0 = max($0, bytes) }
        }
    }

    private static func fill(_ shard: Shard, _ peaks: Peaks) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(writer))
                    for first in stride(from: writer * batch, to: rows, by: writers * batch) {
                        try await shard.waitForRoom(deadline: .after(soon))
                        try await shard.upsert((first..<first + batch).map { point(UInt64($0), generator.vector(16)) })
                        peaks.note(shard)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Many writers at once, and bounds that all of them meet: they wait, and that is all that they notice.
    @Test func writersWaitAtTheBoundOfUnindexedRowsAndMemoryStaysBounded() async throws {
        let maximumRows = 1_000
        let maximumOverlay = 4 << 20
        let fixture = try ShardFixture(
            options: ShardOptions(
                pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30, maximumUnindexedRows: maximumRows,
                maximumOverlayBytes: maximumOverlay))
        let shard = try fixture.open()
        let peaks = Peaks()
        try await Self.fill(shard, peaks)
        #expect(try await eventually(within: soon) { shard.unindexedRows == 0 })
        let rows = peaks.unindexedRows.withLock { $0 }
        // Each writer may have passed the gate just before it closed.
        #expect((maximumRows / 2..<maximumRows + Self.writers * Self.batch).contains(rows), "\(rows) rows waited")
        let bytes = peaks.overlayBytes.withLock { $0 }
        // A row that is being inserted is linked from 32 others, each in a block of 32 KiB at worst, on two threads; one
        // block of vectors is unfinished for each group of writes.
        let slack = UInt64(2 * 34 * 33 << 10 + Self.writers * 16 << 10)
        #expect(bytes <= UInt64(maximumOverlay) + slack, "\(bytes) bytes in memory")
        let figures = shard.figures()
        #expect(figures.checkpoints >= 4, "\(figures.checkpoints) checkpoints")
        #expect(shard.count() == UInt64(Self.rows))
        var generator = SeededGenerator(seed: 0)
        let first = generator.vector(16)
        #expect(try await shard.nearest(first, limit: 1).first?.record.id == .number(0))
        await shard.close()
    }

    /// Searches of one effort beside checkpoints that follow each other without a pause, compared with those of a quiet
    /// shard of the same points.
    @Test func checkpointsDoNotStallReads() async throws {
        func options(_ overlay: Int) -> ShardOptions {
            ShardOptions(pointsMapBytes: 1 << 30, indexMapBytes: 1 << 30, maximumOverlayBytes: overlay)
        }
        let fixture = try ShardFixture(
            spaces: [VectorSpace(name: "", dimension: 32, distance: .euclid)], options: options(512 << 20))
        var shard = try fixture.open()
        var generator = SeededGenerator(seed: 51)
        for first in stride(from: 0, to: 12_000, by: 1_000) {
            try await shard.upsert((first..<first + 1_000).map { point(UInt64($0), generator.vector(32)) })
        }
        #expect(try await eventually(within: soon) { shard.unindexedRows == 0 })
        await shard.close()
        // Each few rows are a checkpoint then.
        fixture.options = options(2 << 20)
        shard = try fixture.open()
        let quiet = try await Self.latencies(of: shard) { $0 >= 2_000 }
        let before = shard.figures()
        let busy = shard
        let writer = Task {
            var generator = SeededGenerator(seed: 52)
            var next: UInt64 = 20_000
            while !Task.isCancelled {
                try await busy.upsert([point(next, generator.vector(32))])
                next += 1
            }
        }
        let beside = try await Self.latencies(of: shard) { searches in
            searches >= 2_000 && shard.figures().checkpoints >= before.checkpoints + 50
        }
        writer.cancel()
        try await writer.value
        let after = shard.figures()
        let count = after.checkpoints - before.checkpoints
        let length = (after.checkpointSeconds - before.checkpointSeconds) / Double(count)
        func text(_ values: [Duration], _ part: Double) -> Duration { values[Int(Double(values.count - 1) * part)] }
        let figures = [0.5, 0.95, 0.99, 1].map { "\($0): \(text(quiet, $0)) and \(text(beside, $0))" }
        print("searches on a quiet shard and beside \(count) checkpoints of \(Int(length * 1e6)) us: \(figures)")
        // Generous, since tests share the cores with whatever else runs; who waits for a checkpoint waits far longer.
        #expect(text(beside, 0.5) <= text(quiet, 0.5) * 8 + .milliseconds(1))
        #expect(text(beside, 0.95) <= text(quiet, 0.95) * 8 + .milliseconds(10))
        await shard.close()
    }

    /// Ascending.
    private static func latencies(of shard: Shard, until isEnough: (Int) -> Bool) async throws -> [Duration] {
        var generator = SeededGenerator(seed: 53)
        var latencies: [Duration] = []
        while !isEnough(latencies.count) {
            let request = SearchRequest(space: "", vector: generator.vector(32), limit: 10, ef: 64)
            let start = ContinuousClock.now
            _ = try await shard.search([request], deadline: .after(soon))
            latencies.append(.now - start)
        }
        return latencies.sorted()
    }

    @Test func withRoomForAllACheckpointIsNotForcedByMemory() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        let start = ContinuousClock.now
        try await Self.fill(shard, Peaks())
        #expect(try await eventually(within: soon) { shard.unindexedRows == 0 })
        // One for every 8,192 rows, and on a busy machine those that come with time.
        let timely = Int((ContinuousClock.now - start) / .seconds(5))
        #expect(shard.figures().checkpoints <= 3 + timely)
        await shard.close()
        let reopened = try fixture.open()
        #expect(reopened.unindexedRows == 0 && reopened.figures().overlayBytes < 1 << 20)
        await reopened.close()
    }
}

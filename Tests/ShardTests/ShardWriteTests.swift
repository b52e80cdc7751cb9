import DataModel
import Shard
import Testing

@Suite struct ShardWriteTests {
    @Test func aWrittenPointIsFoundAtOnceAndAfterReopening() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 1)
        let vectors = (0..<600).map { _ in generator.vector(16) }
        do {
            let shard = try fixture.open()
            for (id, vector) in vectors.enumerated() {
                try await shard.upsert([point(UInt64(id), vector, payload: #"{"n":\#(id)}"#)])
                if id % 97 == 0 { #expect(try await shard.nearest(vector, limit: 1).first?.record.id == .number(UInt64(id))) }
            }
            #expect(shard.count() == 600)
            await shard.close()
        }
        let shard = try fixture.open()
        #expect(shard.count() == 600)
        #expect(shard.position == LogPosition(sequence: SequenceNumber(600), epoch: Epoch(1)))
        for id in [0, 255, 256, 511, 512, 599] {
            let found = try await shard.nearest(vectors[id], limit: 1)
            #expect(found.first?.record.id == .number(UInt64(id)))
            #expect(found.first?.record.payload == Payload(json: Array(#"{"n":\#(id)}"#.utf8)))
            #expect(found.first?.record.vectors?[""] == vectors[id])
        }
        await shard.close()
    }

    @Test func aShardThatWasNotClosedHasEveryAcknowledgedWrite() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 2)
        let points = (0..<1_000).map { point(UInt64($0), generator.vector(16)) }
        var shard: Shard? = try fixture.open()
        for start in stride(from: 0, to: 1_000, by: 100) {
            try await shard?.upsert(Array(points[start..<start + 100]))
        }
        shard = nil  // No close: what a killed process leaves.
        let reopened = try fixture.open()
        let records = try await reopened.all()
        #expect(records.map(\.id) == points.map(\.id))
        #expect(records.map { $0.vectors?[""] } == points.map { $0.vectors[""] })
        await reopened.close()
    }

    @Test func upsertReplacesAndDeleteRemoves() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 3)
        let shard = try fixture.open()
        let old = generator.vector(16)
        let new = generator.vector(16)
        try await shard.upsert([point(7, old, payload: #"{"a":1}"#), point(8, generator.vector(16))])
        try await shard.upsert([point(7, generator.vector(16)), point(7, new, payload: #"{"a":2}"#)])
        #expect(shard.count() == 2)
        let request = RetrieveRequest(ids: [.number(9), .number(7)], withPayload: true, withVectors: .all)
        let records = try await shard.retrieve(request, deadline: .after(soon))
        #expect(records.map(\.id) == [.number(7)])
        #expect(records.first?.vectors?[""] == new)
        #expect(records.first?.version == SequenceNumber(2))
        #expect(try await shard.nearest(old, limit: 10).count == 2)

        _ = try await shard.append(.delete([.number(7), .number(99)]), epoch: Epoch(1))
        #expect(shard.count() == 1)
        #expect(try await shard.nearest(new, limit: 10).map(\.record.id) == [.number(8)])
        await shard.close()
        let reopened = try fixture.open()
        #expect(try await reopened.all().map(\.id) == [.number(8)])
        await reopened.close()
    }

    @Test func concurrentWritesShareCommitsAndGetGaplessSequences() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        let sequences = try await withThrowingTaskGroup(of: UInt64.self) { group in
            for id in 0..<200 as Range<UInt64> {
                group.addTask {
                    var generator = SeededGenerator(seed: id)
                    return try await shard.upsert([point(id, generator.vector(16))]).position.sequence.rawValue
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(sequences.sorted() == Array(1...200))
        #expect(shard.count() == 200)
        await shard.close()
        await #expect(throws: ShardError.self) { try await shard.upsert([point(1, [Float](repeating: 0, count: 16))]) }
    }

    @Test func aBackupAppliesWhatThePrimaryLoggedAndRefusesGaps() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 4)
        let primary = try fixture.open("primary")
        let backup = try fixture.open("backup")
        for id in 0..<300 as Range<UInt64> {
            try await primary.upsert([point(id, generator.vector(16))], epoch: id < 100 ? 1 : 3)
        }
        _ = try await primary.append(.delete([.number(5)]), epoch: Epoch(4))
        let records = try #require(try primary.logRecords(after: .zero, maxBytes: 1 << 30))
        #expect(records.count == 301)
        try await backup.apply(Array(records[..<50]))
        await #expect(throws: ShardError.self) { try await backup.apply(Array(records[60...])) }
        try await backup.apply(Array(records[50...]))
        #expect(backup.position == primary.position)
        #expect(try await backup.all() == primary.all())
        #expect(backup.epoch(of: SequenceNumber(100)) == Epoch(1))
        #expect(backup.epoch(of: SequenceNumber(101)) == Epoch(3))
        #expect(backup.epoch(of: SequenceNumber(301)) == Epoch(4))
        #expect(backup.epoch(of: SequenceNumber(302)) == nil)
        #expect(try primary.logRecords(after: SequenceNumber(301), maxBytes: 1)?.isEmpty == true)
        await primary.close()
        await backup.close()
    }

    @Test func theLogIsTrimmedToItsBudgetButKeptForAReplicaThatNeedsIt() async throws {
        let fixture = try ShardFixture()
        fixture.options.retainedLogBytes = 100_000
        var generator = SeededGenerator(seed: 5)
        let shard = try fixture.open()
        shard.setLogRetention(after: SequenceNumber(3))
        for id in 0..<2_000 as Range<UInt64> { try await shard.upsert([point(id, generator.vector(16))]) }
        #expect(try shard.logRecords(after: SequenceNumber(3), maxBytes: 1 << 30)?.count == 1_997)
        #expect(try shard.logRecords(after: SequenceNumber(2), maxBytes: 1 << 30) == nil)
        shard.setLogRetention(after: nil)
        try await shard.upsert([point(0, generator.vector(16))])
        #expect(try shard.logRecords(after: SequenceNumber(3), maxBytes: 1 << 30) == nil)
        await shard.close()
        let reopened = try fixture.open()
        #expect(try await reopened.all().count == 2_000)
        await reopened.close()
    }
}

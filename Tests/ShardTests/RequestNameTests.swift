import DataModel
import Shard
import Testing

/// Writes that come twice under one name are done once.
@Suite struct RequestNameTests {
    private static func named(_ name: String, _ id: UInt64, payload: String = "{}") -> WriteRequest {
        WriteRequest(.upsert([point(id, [Float](repeating: Float(id), count: 16), payload: payload)]))
            .named(RequestName(name))
    }

    @Test func aNamedWriteIsDoneOnceAlsoAfterReopening() async throws {
        let fixture = try ShardFixture()
        let write = Self.named("a", 1)
        do {
            let shard = try fixture.open()
            #expect(try await shard.outcome(write) == .success(SequenceNumber(1)))
            #expect(try await shard.outcome(Self.named("b", 1, payload: #"{"n":2}"#)) == .success(SequenceNumber(2)))
            #expect(try await shard.outcome(write) == .success(SequenceNumber(1)))
            #expect(shard.position.sequence == SequenceNumber(2))
            await shard.close()
        }
        let shard = try fixture.open()
        #expect(try await shard.outcome(write, epoch: 2) == .success(SequenceNumber(1)))
        #expect(try await shard.all().first?.payload == Payload(json: Array(#"{"n":2}"#.utf8)))
        #expect(try await shard.outcome(Self.named("a", 2)) == .failure(.requestNameReused))
        #expect(shard.position.sequence == SequenceNumber(2))
        #expect(try await shard.verify().isSound)
        await shard.close()
    }

    @Test func theSameNameManyTimesAtOnceIsOneWrite() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        let sequences = try await withThrowingTaskGroup(of: Result<SequenceNumber, ShardError>.self) { group in
            for number in 0..<100 {
                group.addTask { try await shard.outcome(Self.named("n-\(number % 5)", UInt64(number % 5))) }
            }
            return try await group.reduce(into: Set()) { $0.insert(try $1.get()) }
        }
        #expect(sequences == Set((1...5).map { SequenceNumber($0) }))
        #expect(shard.position.sequence == SequenceNumber(5))
        await shard.close()
    }

    /// A condition that did not hold may hold later: the name is free again. One that held does not hold a second time,
    /// and is not looked at then.
    @Test func aRefusedWriteLeavesItsNameFree() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        let conditional = WriteRequest(
            .upsert([point(1, [Float](repeating: 1, count: 16))]),
            conditions: [WriteCondition(id: .number(1), version: SequenceNumber(1))]
        ).named(RequestName("c"))
        await #expect(throws: ShardError.self) { try await shard.outcome(conditional).get() }
        _ = try await shard.outcome(Self.named("first", 1))
        #expect(try await shard.outcome(conditional) == .success(SequenceNumber(2)))
        #expect(try await shard.outcome(conditional) == .success(SequenceNumber(2)))
        await shard.close()
    }

    @Test func aReplicaKnowsTheNamesByTheLogAndByASnapshot() async throws {
        let fixture = try ShardFixture()
        let primary = try fixture.open("primary")
        let writes = (1...50 as ClosedRange<UInt64>).map { Self.named("w\($0)", $0) }
        for write in writes { _ = try await primary.outcome(write) }
        _ = try await primary.copySnapshot(to: fixture.folder + "/copy")
        let byLog = try fixture.open("backup")
        try await byLog.apply(try #require(try primary.logRecords(after: .zero, maxBytes: .max)))
        let bySnapshot = try fixture.open("copy")
        for replica in [byLog, bySnapshot] {
            for (index, write) in writes.enumerated() {
                #expect(try await replica.outcome(write, epoch: 2) == .success(SequenceNumber(UInt64(index + 1))))
            }
            #expect(replica.position == primary.position)
            // What came since, by the log, to a replica that has looked names up before.
            _ = try await replica.outcome(Self.named("own", 60), epoch: 2)
            #expect(try await replica.outcome(Self.named("own", 60), epoch: 2) == .success(SequenceNumber(51)))
            await replica.close()
        }
        await primary.close()
    }

    /// A backup that was the primary before still learns of names.
    @Test func namesThatComeByTheLogAreKnownAtOnce() async throws {
        let fixture = try ShardFixture()
        let (one, two) = (try fixture.open("one"), try fixture.open("two"))
        _ = try await one.outcome(Self.named("a", 1))
        try await two.apply(try #require(try one.logRecords(after: .zero, maxBytes: .max)))
        _ = try await two.outcome(Self.named("b", 2), epoch: 2)
        try await one.apply(try #require(try two.logRecords(after: SequenceNumber(1), maxBytes: .max)))
        #expect(try await one.outcome(Self.named("b", 2), epoch: 3) == .success(SequenceNumber(2)))
        await one.close()
        await two.close()
    }

    @Test func namesAreForgottenBySequenceTheSameOnAllReplicas() async throws {
        let fixture = try ShardFixture()
        fixture.options.rememberedWrites = 100
        let primary = try fixture.open("primary")
        let backup = try fixture.open("backup")
        let writes = (1...2_000 as ClosedRange<UInt64>).map { Self.named("w\($0)", $0) }
        for write in writes { _ = try await primary.outcome(write) }
        try await backup.apply(try #require(try primary.logRecords(after: .zero, maxBytes: .max)))
        for replica in [primary, backup] {
            // The hundredth from the end is the oldest that is remembered.
            #expect(try await replica.outcome(writes[1_900], epoch: 2) == .success(SequenceNumber(1_901)))
            #expect(try await replica.outcome(writes[1_899], epoch: 2) == .success(SequenceNumber(2_001)))
            #expect(try await replica.verify().isSound)
            await replica.close()
        }
        // Of 2,000 entries about a thousand were removed, so the rest comes from a trimmed table.
        let reopened = try fixture.open("primary")
        #expect(try await reopened.outcome(writes[1_999], epoch: 2) == .success(SequenceNumber(2_000)))
        await reopened.close()
    }

    @Test func aCompactionKeepsTheNames() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        let writes = (1...600 as ClosedRange<UInt64>).map { Self.named("w\($0)", $0 % 20) }
        for write in writes[..<400] { _ = try await shard.outcome(write) }
        async let compacted: Void = shard.compact()
        for write in writes[400...] { _ = try await shard.outcome(write) }
        try await compacted
        for index in [0, 399, 400, 599] {
            #expect(try await shard.outcome(writes[index]) == .success(SequenceNumber(UInt64(index + 1))))
        }
        #expect(try await shard.verify().isSound)
        await shard.close()
        let reopened = try fixture.open()
        #expect(try await reopened.outcome(writes[3]) == .success(SequenceNumber(4)))
        await reopened.close()
    }

    /// Of a delete that takes several records only the last has the name.
    @Test func aNamedDeleteByFilterIsDoneOnce() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        try await shard.upsert((0..<10).map { point($0, [Float](repeating: 1, count: 16), payload: #"{"k":1}"#) })
        let filter = Filter(must: [.field(PayloadPath("k"), .any([.integer(1)]))])
        let delete = WriteRequest(.deleteMatching(filter)).named(RequestName("d"))
        #expect(try await shard.outcome(delete) == .success(SequenceNumber(2)))
        try await shard.upsert([point(3, [Float](repeating: 1, count: 16), payload: #"{"k":1}"#)])
        #expect(try await shard.outcome(delete) == .success(SequenceNumber(2)))
        #expect(shard.count() == 1)
        await shard.close()
    }
}

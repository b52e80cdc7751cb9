import DataModel
import Shard
import Testing

@Suite struct ConditionalWriteTests {
    private static func upsert(_ id: UInt64, if version: UInt64?, payload: String = "{}") -> WriteRequest {
        WriteRequest(
            .upsert([point(id, [Float](repeating: Float(id), count: 16), payload: payload)]),
            conditions: version.map { [WriteCondition(id: .number(id), version: SequenceNumber($0))] } ?? [])
    }

    private static func conflict(_ id: UInt64, _ expected: UInt64, _ actual: UInt64) -> ShardError {
        .versionConflict(
            VersionConflict(
                point: .number(id), expected: SequenceNumber(expected), actual: SequenceNumber(actual)))
    }

    @Test func aWriteIsDoneInTheExpectedVersionOnly() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        #expect(try await shard.outcome(Self.upsert(1, if: 5)) == .failure(Self.conflict(1, 5, 0)))
        #expect(try await shard.outcome(Self.upsert(1, if: 0)) == .success(SequenceNumber(1)))
        #expect(try await shard.outcome(Self.upsert(1, if: 0)) == .failure(Self.conflict(1, 0, 1)))
        #expect(try await shard.outcome(Self.upsert(1, if: 1)) == .success(SequenceNumber(2)))
        #expect(try await shard.outcome(Self.upsert(1, if: 1)) == .failure(Self.conflict(1, 1, 2)))
        let delete = { (version: UInt64) in
            WriteRequest(
                .delete([.number(1)]), conditions: [.init(id: .number(1), version: SequenceNumber(version))])
        }
        #expect(try await shard.outcome(delete(1)) == .failure(Self.conflict(1, 1, 2)))
        #expect(try await shard.outcome(delete(2)) == .success(SequenceNumber(3)))
        #expect(try await shard.outcome(Self.upsert(1, if: 2)) == .failure(Self.conflict(1, 2, 0)))
        // What was refused is not in the log.
        #expect(try shard.logRecords(after: .zero, maxBytes: .max)?.count == 3)
        await shard.close()
    }

    @Test func ofABatchAllOrNothingIsDone() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        try await shard.upsert([point(2, [Float](repeating: 1, count: 16))])
        var batch = Self.upsert(1, if: 0)
        batch.operation = .upsert([1, 2, 3].map { point($0, [Float](repeating: 2, count: 16)) })
        batch.conditions.append(WriteCondition(id: .number(2), version: SequenceNumber(9)))
        #expect(try await shard.outcome(batch) == .failure(Self.conflict(2, 9, 1)))
        #expect(try await shard.all().map(\.id) == [.number(2)])
        batch.conditions[1].version = SequenceNumber(1)
        #expect(try await shard.outcome(batch) == .success(SequenceNumber(2)))
        #expect(try await shard.all().map(\.version) == [2, 2, 2].map { SequenceNumber($0) })
        await shard.close()
    }

    /// All at once, so that many share a group commit: each sees those before it.
    @Test func racingIncrementsLoseNone() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        let conflicts = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var (done, conflicts, version, value) = (0, 0, UInt64(0), 0)
                    while done < 50 {
                        let result = try await shard.outcome(
                            Self.upsert(1, if: version, payload: #"{"n":\#(value + 1)}"#))
                        if case .success(let sequence) = result {
                            (done, version, value) = (done + 1, sequence.rawValue, value + 1)
                        } else {
                            conflicts += 1
                            (version, value) = try await Self.read(shard)
                        }
                    }
                    return conflicts
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(conflicts > 0)
        #expect(try await Self.read(shard).value == 400)
        #expect(shard.position.sequence == SequenceNumber(400))
        await shard.close()
    }

    private static func read(_ shard: Shard) async throws -> (version: UInt64, value: Int) {
        let request = RetrieveRequest(ids: [.number(1)], withPayload: true, withVectors: .none)
        guard let record = try await shard.retrieve(request, deadline: .after(soon)).first else { return (0, 0) }
        let digits = (record.payload?.json ?? []).filter { (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= $0 }
        return (record.version.rawValue, try #require(Int(String(decoding: digits, as: UTF8.self))))
    }

    @Test func aCompactionKeepsVersions() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        for id in 1...400 as ClosedRange<UInt64> { _ = try await shard.outcome(Self.upsert(id, if: 0)) }
        for id in 1...300 as ClosedRange<UInt64> { _ = try await shard.outcome(Self.upsert(id, if: id)) }
        try await shard.compact()
        #expect(try await shard.outcome(Self.upsert(7, if: 7)) == .failure(Self.conflict(7, 7, 407)))
        #expect(try await shard.outcome(Self.upsert(7, if: 407)) == .success(SequenceNumber(701)))
        await shard.close()
    }
}

extension Shard {
    func outcome(_ request: WriteRequest, epoch: UInt64 = 1) async throws -> Result<SequenceNumber, ShardError> {
        try await write(request, epoch: Epoch(epoch), deadline: .after(soon)).result
    }
}

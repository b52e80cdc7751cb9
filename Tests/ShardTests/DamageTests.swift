import DataModel
import Foundation
import LMDB
import Shard
import Testing

/// One bit is flipped in a value of each table, as a disk might do: it is named by a verification, and nobody is answered
/// from it.
@Suite struct DamageTests {
    struct Target: CustomTestStringConvertible, Sendable {
        let environment: String
        let table: String
        var isIndex: Bool { environment == "index" }
        var testDescription: String { "\(environment)/\(table)" }
    }

    static let targets = [
        Target(environment: "points", table: "meta"), Target(environment: "points", table: "points"),
        Target(environment: "points", table: "payloads"), Target(environment: "points", table: "log"),
        Target(environment: "points", table: "vectors"), Target(environment: "points", table: "deletions"),
        Target(environment: "points", table: "postings"), Target(environment: "points", table: "numbers"),
        Target(environment: "index", table: "meta"), Target(environment: "index", table: "blocks"),
    ]

    private static let rows: UInt64 = 1_500

    /// A closed shard with a graph, deletions, whole blocks and a log.
    private func closedShard() async throws -> (ShardFixture, [Record]) {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 31)
        let records: [Record]
        do {
            let shard = try fixture.open()
            let index = PayloadIndexConfig(path: PayloadPath("n"), kind: .integer)
            try await shard.setPayloadIndexes([index])
            try await shard.upsert((0..<Self.rows).map { point($0, generator.vector(16), payload: #"{"n":\#($0)}"#) })
            try await shard.delete((0..<100).map { .number($0) })
            #expect(try await eventually { shard.unindexedRows == 0 })
            records = try await shard.all()
            await shard.close()
        }
        #expect(try await eventually { !Shard.isOpen(folder: fixture.folder + "/shard") })
        return (fixture, records)
    }

    /// Flips a bit in the middle of a table's last value: of `meta` in the state's.
    private func flipBit(in target: Target, of fixture: ShardFixture) throws {
        let folder = "\(fixture.folder)/shard/generation-1/\(target.environment)"
        let environment = try Environment.open(folder, options: .init(mapSizeBytes: 1 << 30))
        let table = try environment.openTables([target.table])[0]
        try environment.write { transaction in
            let (key, value) = try transaction.withCursor(in: table) { cursor in
                let last = try #require(try cursor.last())
                return (Array(last.key), Array(last.value))
            }
            var damaged = value
            damaged[value.count / 2] ^= 0x10
            try transaction.put(damaged, at: key, in: table)
        }
    }

    @Test func aSoundShardIsFoundSound() async throws {
        let (fixture, _) = try await closedShard()
        let report = try Shard.verify(folder: fixture.folder + "/shard")
        #expect(report.isSound, "\(report.allFindings)")
        #expect(report.points == Self.rows - 100 && report.rows == Self.rows)
        let shard = try fixture.open()
        #expect(try await shard.verify().isSound)
        #expect(shard.knownDamage == nil)
        try await shard.compact()
        let compacted = try await shard.verify()
        #expect(compacted.isSound, "\(compacted.allFindings)")
        await shard.close()
    }

    @Test(arguments: targets) func aFlippedBitIsNamedAndNeverAnsweredFrom(target: Target) async throws {
        let (fixture, records) = try await closedShard()
        try flipBit(in: target, of: fixture)
        let report = try Shard.verify(folder: fixture.folder + "/shard")
        #expect(!report.isSound)
        let finding = try #require(report.allFindings.first)
        #expect(finding.contains(target.table), "\(report.allFindings)")
        #expect(report.findings.isEmpty == target.isIndex)

        // Either the shard is refused, or each answer is right or an error.
        let shard: Shard
        do {
            shard = try fixture.open()
        } catch {
            guard case ShardError.corrupted = error else { throw error }
            return
        }
        let expected = Dictionary(uniqueKeysWithValues: records.map { ($0.id, $0) })
        for record in records {
            do {
                let request = RetrieveRequest(ids: [record.id], withPayload: true, withVectors: .all)
                let found = try await shard.retrieve(request, deadline: .after(soon))
                #expect(found == [record])
            } catch {
                guard case ShardError.corrupted = error else { throw error }
            }
        }
        var generator = SeededGenerator(seed: 32)
        for _ in 0..<50 {
            do {
                for found in try await shard.nearest(generator.vector(16), exact: true) {
                    #expect(found.record == expected[found.record.id])
                }
            } catch {
                guard case ShardError.corrupted = error else { throw error }
            }
        }
        if target.isIndex, target.table == "meta" {
            // Without its books the index was built anew when the shard was opened.
            #expect(try await shard.verify().isSound)
            return await shard.close()
        }
        #expect(try await !shard.verify().isSound)
        #expect((shard.knownDamage == nil) == target.isIndex)
        if target.isIndex {
            // A new index is built beside it.
            #expect(try await eventually { shard.compactionProgress == nil })
            #expect(try await shard.verify().isSound)
        }
        await shard.close()
    }
}

import DataModel
import Foundation
import Shard
import Testing

@Suite struct ShardSnapshotTests {
    @Test func aSnapshotTakenUnderWritesOpensAsAReplicaWithItsGraph() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 11)
        let shard = try fixture.open()
        let points = (0..<5_000).map { point(UInt64($0), generator.vector(16)) }
        try await shard.upsert(Array(points[..<4_000]))
        #expect(try await eventually { shard.unindexedRows == 0 })
        async let writing: Void = {
            for start in stride(from: 4_000, to: 5_000, by: 10) { try await shard.upsert(Array(points[start..<start + 10])) }
        }()
        let (position, files) = try await shard.copySnapshot(to: fixture.folder + "/copy")
        try await writing
        #expect(Set(files.map(\.name)) == ["points", "index"])
        #expect(files.allSatisfy { $0.bytes > 0 })

        let copy = try fixture.open("copy")
        #expect(copy.position == position)
        #expect(copy.unindexedRows <= 1_000)
        let missing = try #require(try shard.logRecords(after: position.sequence, maxBytes: 1 << 30))
        try await copy.apply(missing)
        #expect(try await copy.all() == shard.all())
        await shard.close()
        await copy.close()
    }

    /// A snapshot often finds the checkpoint of another one under way.
    @Test func snapshotsAtTheSameTimeAllBringTheGraph() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 13)
        let shard = try fixture.open()
        let folder = fixture.folder
        for round in 1...8 {
            let first = UInt64(round * 500)
            try await shard.upsert((first..<first + 500).map { point($0, generator.vector(16)) })
            #expect(try await eventually { shard.unindexedRows == 0 })
            try await withThrowingTaskGroup { group in
                for number in 0..<4 {
                    group.addTask { _ = try await shard.copySnapshot(to: folder + "/copy-\(round)-\(number)") }
                }
                try await group.waitForAll()
            }
        }
        for round in 1...8 {
            for number in 0..<4 {
                let copy = try fixture.open("copy-\(round)-\(number)")
                #expect(copy.status().indexedRows == round * 500)
                await copy.close()
            }
        }
        await shard.close()
    }

    @Test func aDamagedIndexIsBuiltAnewAndADamagedTruthIsRefused() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 12)
        do {
            let shard = try fixture.open()
            try await shard.upsert((0..<3_000).map { point($0, generator.vector(16)) })
            #expect(try await eventually { shard.unindexedRows == 0 })
            await shard.close()
        }
        // What is open is not read from the disk again.
        #expect(try await eventually { !Shard.isOpen(folder: fixture.folder + "/shard") })
        try Data("no LMDB file".utf8).write(to: URL(filePath: fixture.folder + "/shard/generation-1/index/data.mdb"))
        do {
            let shard = try fixture.open()
            #expect(shard.count() == 3_000)
            #expect(try await shard.nearest(generator.vector(16)).count == 10)
            #expect(try await eventually { shard.unindexedRows == 0 })
            await shard.close()
        }
        // What is open is not read from the disk again.
        #expect(try await eventually { !Shard.isOpen(folder: fixture.folder + "/shard") })
        try Data("no LMDB file".utf8).write(to: URL(filePath: fixture.folder + "/shard/generation-1/points/data.mdb"))
        #expect(throws: ShardError.self) { try fixture.open() }
    }
}

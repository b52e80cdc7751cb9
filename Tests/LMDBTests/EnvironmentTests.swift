import Foundation
import LMDB
import Testing

/// A folder of its own for each test, removed with it.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/shoal-lmdb-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func open(mapSizeBytes: Int = 64 << 20) throws -> Environment {
        try Environment.open(path, options: .init(mapSizeBytes: mapSizeBytes))
    }
}

@Suite struct EnvironmentTests {
    struct Cancelled: Error {}

    @Test func aWriteIsVisibleAfterItsCommitAndNotBefore() throws {
        let folder = try TemporaryFolder()
        let environment = try folder.open()
        let table = try environment.openTables(["t"])[0]
        let before = try PinnedRead(environment)
        let number = environment.lastTransactionID
        try environment.write { try $0.put([1, 2, 3], at: UInt32(7), in: table) }
        #expect(environment.lastTransactionID == number + 1)
        let isVisible = try before.read { try $0.get(UInt32(7), in: table) != nil }
        #expect(!isVisible)
        #expect(try environment.read { try $0.get(UInt32(7), in: table).map(Array.init) } == [1, 2, 3])
    }

    @Test func aWriteThatThrowsChangesNothing() throws {
        let folder = try TemporaryFolder()
        let environment = try folder.open()
        let table = try environment.openTables(["t"])[0]
        #expect(throws: Cancelled.self) {
            try environment.write { transaction in
                try transaction.put([1], at: UInt32(1), in: table)
                throw Cancelled()
            }
        }
        #expect(try environment.read { try $0.count(of: table) } == 0)
        try environment.write { try $0.put([2], at: UInt32(2), in: table) }
        #expect(try environment.read { try $0.count(of: table) } == 1)
    }

    @Test func cursorsMoveInOrderOfKeysAndSeekToTheNextOne() throws {
        let folder = try TemporaryFolder()
        let environment = try folder.open()
        let table = try environment.openTables(["t"])[0]
        try environment.write { transaction in
            for key in [300, 2, 70_000] as [UInt32] { try transaction.put([UInt8(key & 255)], at: key, in: table) }
        }
        try environment.read { transaction in
            try transaction.withCursor(in: table) { cursor in
                let found = [try cursor.seek(UInt32(3)), try cursor.next(), try cursor.next()]
                #expect(found.map { $0?.value.first } == [44, 112, nil])
                let ends = [try cursor.first(), try cursor.last()]
                #expect(ends.map { $0?.value.first } == [2, 112])
            }
        }
        try environment.write { transaction in
            try transaction.withCursor(in: table) { cursor in
                _ = try cursor.first()
                try cursor.deleteCurrent()
                let following = try cursor.next()
                #expect(following?.value.first == 44)
            }
            let existed = try transaction.delete(UInt32(2), from: table)
            #expect(!existed)
        }
    }

    @Test func openingTwiceYieldsOneEnvironmentAndAReplacedFolderAnother() throws {
        let folder = try TemporaryFolder()
        let first = try folder.open()
        #expect(try folder.open() === first)
        let table = try first.openTables(["t"])[0]
        try first.write { try $0.put([1], at: UInt32(1), in: table) }
        try FileManager.default.moveItem(atPath: folder.path, toPath: folder.path + ".old")
        defer { try? FileManager.default.removeItem(atPath: folder.path + ".old") }
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let second = try folder.open()
        #expect(second !== first)
        let fresh = try second.openTables(["t"])[0]
        #expect(try second.read { try $0.count(of: fresh) } == 0)
    }

    @Test func aFullMapIsReportedAndTheEnvironmentGoesOn() throws {
        let folder = try TemporaryFolder()
        let environment = try folder.open(mapSizeBytes: 1 << 20)
        let table = try environment.openTables(["t"])[0]
        let large = [UInt8](repeating: 1, count: 300_000)
        var failure: LMDBError?
        for key in 0..<8 as Range<UInt32> {
            do {
                try environment.write { try $0.put(large, at: key, in: table) }
            } catch let error as LMDBError {
                failure = error
                break
            }
        }
        #expect(failure?.isOutOfSpace == true)
        #expect(try environment.read { try $0.get(UInt32(0), in: table)?.count } == large.count)
        try environment.write { _ = try $0.delete(UInt32(0), from: table) }
    }

    @Test func aCopyHoldsOneStateAndNoFreePages() throws {
        let folder = try TemporaryFolder()
        let target = try TemporaryFolder()
        let environment = try folder.open()
        let table = try environment.openTables(["t"])[0]
        for _ in 0..<5 {
            try environment.write { transaction in
                for key in 0..<500 as Range<UInt32> {
                    try transaction.put([UInt8](repeating: UInt8(key & 255), count: 900), at: key, in: table)
                }
            }
        }
        try environment.copy(to: target.path)
        let copy = try target.open()
        let copied = try copy.openTables(["t"])[0]
        #expect(try copy.read { try $0.count(of: copied) } == 500)
        #expect(copy.usedBytes < environment.usedBytes)
    }

    @Test func whatIsNoLMDBFileIsCorruption() throws {
        let folder = try TemporaryFolder()
        try Data("something else".utf8).write(to: URL(filePath: folder.path + "/data.mdb"))
        do {
            _ = try folder.open()
            Issue.record("opened")
        } catch {
            #expect((error as? LMDBError)?.isCorruption == true)
        }
    }
}

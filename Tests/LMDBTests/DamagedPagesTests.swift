import Foundation
import LMDB
import Testing

/// LMDB trusts its pages: what it would do with damaged ones, from answers that are not true to the end of the process, is
/// an error here.
struct DamagedPagesTests {
    private static let pageBytes = 4_096

    @Test func aTableThatIsMissingAmongOthersIsDamage() throws {
        let folder = try TemporaryFolder()
        do { _ = try folder.open().openTables(["a", "b"]) }
        let environment = try folder.open()
        #expect(try environment.openTables(["a", "b"]).map(\.name) == ["a", "b"])
        do {
            _ = try environment.openTables(["a", "c"])
            Issue.record("a table was made in the place of one that is missing")
        } catch {
            #expect(error.isCorruption)
        }
    }

    @Test func whatIsNotThereHasNeighbours() throws {
        let folder = try TemporaryFolder()
        let environment = try folder.open()
        let table = try environment.openTables(["t"])[0]
        try environment.write { transaction in
            for key in stride(from: UInt8(10), through: 30, by: 10) { try transaction.put([key], at: [key], in: table) }
        }
        try environment.read { transaction in
            let cases: [(key: UInt8, before: UInt8?, after: UInt8?)] = [(5, nil, 10), (15, 10, 20), (29, 20, 30), (31, 30, nil)]
            for (key, before, after) in cases {
                try transaction.withNeighbours(of: [key], in: table) { (former: Cursor.Entry?, next: Cursor.Entry?) in
                    #expect(former?.key.first == before && next?.key.first == after)
                }
            }
        }
    }

    @Test func anEnvironmentThatIsOnlyReadStaysAsItIs() throws {
        let folder = try TemporaryFolder()
        do {
            let environment = try folder.open()
            let table = try environment.openTables(["t"])[0]
            try environment.write { try $0.put([1], at: UInt32(1), in: table) }
        }
        let files = { try ["data.mdb", "lock.mdb"].map { try Data(contentsOf: URL(filePath: folder.path + "/" + $0)) } }
        let before = try files()
        let environment = try Environment.open(folder.path, options: .init(mapSizeBytes: 64 << 20, isReadOnly: true))
        let table = try environment.openTables(["t"])[0]
        #expect(try environment.read { try $0.get(UInt32(1), in: table)?.first } == 1)
        #expect(throws: LMDBError.self) { try environment.write { try $0.put([2], at: UInt32(1), in: table) } }
        #expect(try files() == before)
    }

    /// A page of noise, and one that begins with noise: more than a flipped bit can do. A process that reads must outlive it.
    @Test func readingNoiseEndsInErrors() throws {
        let pristine = try TemporaryFolder()
        do {
            let environment = try pristine.open()
            let table = try environment.openTables(["t"])[0]
            try environment.write { transaction in
                for key in 0..<UInt32(5_000) {
                    try transaction.put([UInt8](repeating: 7, count: key % 500 == 0 ? 9_000 : 40), at: key, in: table)
                }
            }
        }
        let bytes = try [UInt8](Data(contentsOf: URL(filePath: pristine.path + "/data.mdb")))
        var failed = 0
        for seed in 0..<UInt64(200) {
            var generator = Noise(state: seed)
            let folder = try TemporaryFolder()
            var damaged = bytes
            let page = Int.random(in: 2..<bytes.count / Self.pageBytes, using: &generator)
            let count = Bool.random(using: &generator) ? 32 : Self.pageBytes
            for offset in 0..<count { damaged[page * Self.pageBytes + offset] = .random(in: 0...255, using: &generator) }
            try Data(damaged).write(to: URL(filePath: folder.path + "/data.mdb"))
            failed += Self.isDamageMet(folder) ? 1 : 0
        }
        #expect(failed > 100)
    }

    /// Reads all over.
    private static func isDamageMet(_ folder: TemporaryFolder) -> Bool {
        var isMet = false
        func attempt(_ body: () throws -> Void) {
            do { try body() } catch { isMet = true }
        }
        attempt {
            let environment = try folder.open()
            let table = try environment.openTables(["t"])[0]
            try environment.read { transaction in
                attempt {
                    for key in 0..<UInt32(5_000) { _ = try transaction.get(key, in: table)?.reduce(0) { $0 &+ Int($1) } }
                }
                attempt {
                    try transaction.withCursor(in: table) { cursor in
                        var entry = try cursor.first()
                        // Pages that lead in circles are not walked for ever.
                        for _ in 0..<20_000 where entry != nil { entry = try cursor.next() }
                    }
                }
            }
        }
        return isMet
    }

    private struct Noise: RandomNumberGenerator {
        var state: UInt64

        // SplitMix64 (Steele, Lea & Flood 2014).
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }
}

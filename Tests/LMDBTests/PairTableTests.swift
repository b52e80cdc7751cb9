import LMDB
import Testing

struct PairTableTests {
    private static func value(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) } + [1, 2, 3, 4]
    }

    private func scan(_ environment: Environment, _ table: PairTable, key: UInt16, from lower: UInt64) throws -> [UInt64] {
        var found: [UInt64] = []
        try environment.read { transaction in
            try transaction.forEachRun(at: key, from: Self.value(lower), in: table) { run in
                #expect(run.count % table.width == 0)
                for offset in stride(from: 0, to: run.count, by: table.width) {
                    found.append(UInt64(bigEndian: run.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                }
                return true
            }
        }
        return found.filter { $0 >= lower }
    }

    /// One value, some on a shared page, and a tree of pages: LMDB keeps each in another way.
    @Test(arguments: [1, 2, 40, 10_000])
    func scansYieldEachValueOnceInOrder(count: Int) throws {
        let folder = try TemporaryFolder()
        do {
            let environment = try folder.open()
            let table = try environment.openPairTable("pairs", width: 12)
            let values = (0..<UInt64(count)).map { $0 &* 0x9E37_79B9_7F4A_7C15 }
            try environment.write { transaction in
                for value in values + values {
                    try Self.value(value).withUnsafeBytes { try transaction.put($0, at: 7, in: table) }
                }
                // Neighbours in the table that must not show up.
                try Self.value(5).withUnsafeBytes { try transaction.put($0, at: 6, in: table) }
                try Self.value(5).withUnsafeBytes { try transaction.put($0, at: 8, in: table) }
            }
            #expect(try scan(environment, table, key: 9, from: 0) == [])
        }
        let environment = try folder.open()
        let table = try environment.openPairTable("pairs", width: 12)
        let values = (0..<UInt64(count)).map { $0 &* 0x9E37_79B9_7F4A_7C15 }.sorted()
        #expect(try scan(environment, table, key: 7, from: 0) == values)
        for lower in [values[count / 2], values[count / 2] &+ 1, values[count - 1], .max] {
            #expect(try scan(environment, table, key: 7, from: lower) == values.filter { $0 >= lower })
        }
    }

    @Test func valuesAreDeletedInBoundedBatches() throws {
        let folder = try TemporaryFolder()
        let environment = try folder.open()
        let table = try environment.openPairTable("pairs", width: 12)
        try environment.write { transaction in
            for number in 0..<UInt64(1_000) {
                try Self.value(number).withUnsafeBytes { try transaction.put($0, at: 1, in: table) }
                try Self.value(number).withUnsafeBytes { try transaction.put($0, at: 2, in: table) }
            }
        }
        #expect(try environment.write { try $0.deleteValues(at: 1, limit: 600, from: table) } == 600)
        #expect(try scan(environment, table, key: 1, from: 0) == Array(600..<1_000))
        #expect(try environment.write { try $0.deleteValues(at: 1, limit: 600, from: table) } == 400)
        #expect(try environment.write { try $0.deleteValues(at: 1, limit: 600, from: table) } == 0)
        #expect(try scan(environment, table, key: 2, from: 0).count == 1_000)
    }
}

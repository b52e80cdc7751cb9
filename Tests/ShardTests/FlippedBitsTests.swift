import DataModel
import Foundation
import Shard
import Testing

/// One bit is flipped anywhere in the pages that a closed shard uses: in a value, a key, or in what LMDB keeps on its pages.
/// The shard is opened all the same, and what it answers is right, or it says that it is damaged.
@Suite(.serialized) struct FlippedBitsTests {
    private static let trials = ProcessInfo.processInfo.environment["SHOAL_FLIPPED_BITS"].flatMap(Int.init) ?? 60
    private static let seed = ProcessInfo.processInfo.environment["SHOAL_FLIP_SEED"].flatMap(UInt64.init) ?? 2_026
    private static let pageBytes = 4_096

    private static let rows: UInt64 = 1_200
    private static let deleted: Range<UInt64> = 100..<180
    private static let tags = 4

    struct Wrong: Error { var what: String }

    private struct Model {
        var vectors: [[Float]]
        var live: [UInt64] { (0..<rows).filter { !deleted.contains($0) } }

        init() {
            var generator = SeededGenerator(seed: 31)
            vectors = (0..<rows).map { _ in generator.vector(16) }
        }

        func payload(_ id: UInt64) -> [UInt8] {
            Array(#"{"n":\#(id * 7 % 500),"tag":"t\#(id % UInt64(tags))","text":"word\#(id % 50) word\#(id % 31)"}"#.utf8)
        }

        func point(_ id: UInt64) -> Point {
            Point(id: .number(id), vectors: NamedVectors(vectors[Int(id)]), payload: Payload(json: payload(id)))
        }
    }

    /// A closed shard with a graph, deletions, whole blocks, payload indexes and a log.
    private static func closedShard(_ model: Model) async throws -> ShardFixture {
        let fixture = try ShardFixture()
        do {
            let shard = try fixture.open("pristine")
            try await shard.setPayloadIndexes([
                PayloadIndexConfig(path: PayloadPath("n"), kind: .integer),
                PayloadIndexConfig(path: PayloadPath("tag"), kind: .keyword),
                PayloadIndexConfig(path: PayloadPath("text"), kind: .text),
            ])
            for first in stride(from: 0, to: rows, by: 100) {
                try await shard.upsert((first..<first + 100).map { model.point($0) })
            }
            try await shard.delete(deleted.map { .number($0) })
            #expect(try await eventually { shard.unindexedRows == 0 })
            await shard.close()
        }
        #expect(try await eventually { !Shard.isOpen(folder: fixture.folder + "/pristine") })
        return fixture
    }

    /// Flips one bit of a page behind LMDB's two first; returns where.
    private static func flipBit(_ path: String, _ generator: inout SeededGenerator) throws -> String {
        var bytes = try [UInt8](Data(contentsOf: URL(filePath: path)))
        let pages = (2..<bytes.count / pageBytes).filter { page in
            bytes[page * pageBytes..<(page + 1) * pageBytes].contains { $0 != 0 }
        }
        let page = try #require(pages.randomElement(using: &generator))
        // As often in the first bytes of a page as in all others: small offsets there lead to everything else.
        let isInHeader = Int.random(in: 0..<4, using: &generator) == 0
        let offset = Int.random(in: 0..<(isInHeader ? 64 : pageBytes), using: &generator)
        let bit = Int.random(in: 0..<8, using: &generator)
        bytes[page * pageBytes + offset] ^= 1 << UInt8(bit)
        try Data(bytes).write(to: URL(filePath: path))
        return "bit \(bit) of byte \(offset) of page \(page)"
    }

    /// Asks a shard everything.
    private struct Trial {
        let shard: Shard
        let model: Model
        private(set) var refusals: [String] = []

        init(shard: Shard, model: Model) { (self.shard, self.model) = (shard, model) }

        /// Nil when the shard says that it is damaged.
        mutating func ask<Value>(_ body: (Shard) async throws -> Value) async throws -> Value? {
            do {
                return try await body(shard)
            } catch ShardError.corrupted(let reason) {
                refusals.append(reason)
                return nil
            }
        }

        func expect<Value: Equatable>(_ what: String, _ found: Value?, _ expected: Value) throws {
            if let found, found != expected { throw Wrong(what: "\(what): \(found) where \(expected) is right") }
        }

        mutating func run() async throws {
            try await runCounts()
            try await runReads()
            try await runSearches()
            try await runWrites()
        }

        private mutating func runCounts() async throws {
            for tag in 0..<tags {
                let filter = Filter(must: [.field(PayloadPath("tag"), .any([.keyword("t\(tag)")]))])
                let count = try await ask { try await $0.count(filter, deadline: .after(soon)) }
                try expect("count of t\(tag)", count, UInt64(model.live.filter { $0 % UInt64(tags) == tag }.count))
            }
            for lower in stride(from: 0, to: 500, by: 50) {
                let range = NumberRange(gte: Double(lower), lt: Double(lower + 40))
                let filter = Filter(must: [.field(PayloadPath("n"), .range(range))])
                let count = try await ask { try await $0.count(filter, deadline: .after(soon)) }
                let expected = model.live.filter { (lower..<lower + 40).contains(Int($0 * 7 % 500)) }.count
                try expect("count from \(lower)", count, UInt64(expected))
            }
            for word in 0..<50 {
                let filter = Filter(must: [.field(PayloadPath("text"), .text("word\(word)"))])
                let count = try await ask { try await $0.count(filter, deadline: .after(soon)) }
                let expected = model.live.filter { $0 % 50 == word || $0 % 31 == word }.count
                try expect("count of word\(word)", count, UInt64(expected))
            }
        }

        private mutating func runReads() async throws {
            let expected = model.live
            for id in 0..<rows + 50 {
                let request = RetrieveRequest(ids: [.number(id)], withPayload: true, withVectors: .all)
                guard let found = try await ask({ try await $0.retrieve(request, deadline: .after(soon)) }) else { continue }
                let isLive = id < rows && !deleted.contains(id)
                try expect("presence of \(id)", found.count, isLive ? 1 : 0)
                if isLive {
                    try expect("payload of \(id)", found[0].payload?.json, model.payload(id))
                    try expect("vector of \(id)", found[0].vectors, NamedVectors(model.vectors[Int(id)]))
                }
            }
            let request = ScrollRequest(start: nil, limit: Int(rows), withPayload: true, withVectors: .none)
            let all = try await ask { try await $0.scroll(request, deadline: .after(soon)) }
            try expect("ids", all?.map(\.id), expected.map { PointID.number($0) })
        }

        private mutating func runSearches() async throws {
            for number in stride(from: 0, to: Int(rows), by: 60) {
                let query = model.vectors[number]
                let distances = model.live.map { id in
                    let squares = zip(model.vectors[Int(id)], query).map { ($0 - $1) * ($0 - $1) }
                    return (id: id, distance: squares.reduce(0, +).squareRoot())
                }
                let nearest = distances.map(\.distance).sorted().prefix(10)
                for exact in [true, false] {
                    guard let found = try await ask({ try await $0.nearest(query, exact: exact) }) else { continue }
                    try expect("number of results", found.count, 10)
                    for (point, distance) in zip(found, nearest) {
                        guard let real = distances.first(where: { .number($0.id) == point.record.id }) else {
                            throw Wrong(what: "\(point.record.id) does not exist")
                        }
                        let isRight = abs(point.score - real.distance) < 1e-3 && (!exact || abs(point.score - distance) < 1e-3)
                        guard isRight else { throw Wrong(what: "exact \(exact): \(point.record.id) with \(point.score)") }
                    }
                }
            }
        }

        /// What is written over damage is written, or refused.
        private mutating func runWrites() async throws {
            for id in stride(from: 0, to: rows, by: 97) {
                let point = model.point(id)
                let isWritten = try await ask { try await $0.upsert([point]) } != nil
                guard isWritten else { continue }
                let request = RetrieveRequest(ids: [.number(id)], withPayload: true, withVectors: .none)
                let found = try await ask { try await $0.retrieve(request, deadline: .after(soon)) }
                try expect("payload of \(id), written again", found?.first?.payload?.json, model.payload(id))
            }
        }
    }

    @Test(arguments: ["points", "index"])
    func aFlippedBitIsNeverAnsweredFrom(environment: String) async throws {
        let model = Model()
        let fixture = try await Self.closedShard(model)
        let folder = fixture.folder + "/shard"
        var (named, found) = (0, 0)
        for trial in 0..<Self.trials {
            var generator = SeededGenerator(seed: Self.seed &+ UInt64(trial) &* 1_000_003)
            try? FileManager.default.removeItem(atPath: folder)
            try FileManager.default.copyItem(atPath: fixture.folder + "/pristine", toPath: folder)
            let place = try Self.flipBit("\(folder)/generation-1/\(environment)/data.mdb", &generator)
            print("trial \(trial) of \(environment): \(place)")
            let report = try Shard.verify(folder: folder)
            found += report.isSound ? 0 : 1
            let shard: Shard
            do {
                shard = try fixture.open()
            } catch ShardError.corrupted {
                named += 1
                #expect(!report.isSound, "trial \(trial), \(place): it is not opened, and verified as sound")
                continue
            }
            var run = Trial(shard: shard, model: model)
            do {
                try await run.run()
                let refusal = run.refusals.first
                #expect(
                    refusal == nil || !report.isSound,
                    "trial \(trial), \(place): \(refusal ?? "") is not found by a verification")
            } catch let error as Wrong {
                Issue.record("trial \(trial), \(place): \(error.what); verified: \(report.allFindings)")
            }
            named += run.refusals.isEmpty ? 0 : 1
            await shard.close()
        }
        print("\(Self.trials) flipped bits in `\(environment)`: \(named) refused, \(found) found by a verification")
    }
}

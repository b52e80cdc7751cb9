import DataModel
import Shard
import Testing

/// Searches, scrolls, counts and deletes return, count and delete what a slow reference says.
struct ShardFilterTests {
    private static func filled(
        _ fixture: ShardFixture, _ generator: inout SeededGenerator
    ) async throws -> (Shard, [UInt64: ReferenceValue]) {
        let shard = try fixture.open()
        var payloads: [UInt64: ReferenceValue] = [:]
        for id in 0..<400 as Range<UInt64> { payloads[id] = generator.referencePayload() }
        let points = payloads.sorted { $0.key < $1.key }.map { id, payload in
            point(id, generator.vector(16), payload: payload.json)
        }
        try await shard.upsert(points)
        return (shard, payloads)
    }

    private static let indexes: [PayloadIndexConfig] = [
        .init(path: PayloadPath("a"), kind: .keyword), .init(path: PayloadPath("b.c"), kind: .integer),
        .init(path: PayloadPath("list[].x"), kind: .float), .init(path: PayloadPath("text"), kind: .text),
        .init(path: PayloadPath("date"), kind: .datetime), .init(path: PayloadPath("place"), kind: .geo),
    ]

    @Test(arguments: [1, 2, 3, 4] as [UInt64], [false, true])
    func everyFilterLetsThroughWhatTheReferenceLetsThrough(seed: UInt64, isIndexed: Bool) async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: seed)
        let (shard, payloads) = try await Self.filled(fixture, &generator)
        try await shard.setPayloadIndexes(isIndexed ? Self.indexes : [])
        #expect(try await eventually { try shard.payloadIndexes().allSatisfy { $0.progress == 1 } })
        for number in 0..<250 {
            let filter = generator.referenceFilter()
            let expected = payloads.filter { $0.value.passes(filter, id: $0.key) }.map { PointID.number($0.key) }.sorted()
            let scrolled = try await shard.scroll(
                ScrollRequest(start: nil, limit: 1_000, filter: filter, withPayload: false, withVectors: .none),
                deadline: .after(soon))
            #expect(scrolled.map(\.id) == expected, "seed \(seed), filter \(number): \(filter)")
            let count = try await shard.count(filter, deadline: .after(soon))
            #expect(count == UInt64(expected.count), "seed \(seed), filter \(number): \(filter)")
            let request = SearchRequest(space: "", vector: generator.vector(16), limit: 1_000, filter: filter)
            let found = try await shard.search([request], deadline: .after(soon))[0].points
            #expect(found.map(\.record.id).sorted() == expected, "seed \(seed), filter \(number): \(filter)")
        }
        await shard.close()
    }

    @Test func aDeleteByFilterIsInTheLogAsADeleteOfIDs() async throws {
        let fixture = try ShardFixture()
        var generator = SeededGenerator(seed: 9)
        let (shard, payloads) = try await Self.filled(fixture, &generator)
        let filter = Filter(must: [.isNull(PayloadPath("a"))])
        let doomed = Set(payloads.filter { $0.value.passes(filter, id: $0.key) }.map { PointID.number($0.key) })
        #expect((10..<200).contains(doomed.count))
        let record = try await shard.append(.deleteMatching(filter), epoch: Epoch(1))
        guard case .delete(let ids) = record.operation else {
            Issue.record("the log holds \(record.operation)")
            return
        }
        #expect(Set(ids) == doomed)
        let left = try await shard.all()
        #expect(Set(left.map(\.id)) == Set(payloads.keys.map { .number($0) }).subtracting(doomed))
        #expect(try await shard.count(filter, deadline: .after(soon)) == 0)

        // What passes nowhere is still a write with a place in the order.
        let nothing = try await shard.append(.deleteMatching(filter), epoch: Epoch(1))
        #expect(nothing.operation == .delete([]))
        #expect(nothing.position.sequence == record.position.sequence.next)

        // No primary sends one; a backup refuses it.
        let forged = LogRecord(
            position: LogPosition(sequence: nothing.position.sequence.next, epoch: Epoch(1)),
            operation: .deleteMatching(filter))
        await #expect {
            try await shard.apply([forged])
        } throws: { error in
            if case ShardError.invalid = error { true } else { false }
        }
        await shard.close()
    }

    @Test func aTextIndexSaysHowItsFieldIsSplit() async throws {
        let fixture = try ShardFixture()
        let shard = try fixture.open()
        let texts = [#""Deep-Sea fish""#, #"["deep", "sea fish"]"#, #""deepsea""#, "7"]
        try await shard.upsert(
            texts.enumerated().map { point(UInt64($0), [Float](repeating: 1, count: 16), payload: #"{"t":\#($1)}"#) })
        func found(_ test: FieldTest) async throws -> [PointID] {
            try await shard.scroll(
                ScrollRequest(
                    start: nil, limit: 9, filter: Filter(must: [.field(PayloadPath("t"), test)]), withPayload: false,
                    withVectors: .none), deadline: .after(soon)
            ).map(\.id)
        }
        #expect(try await found(.text("deep FISH")) == [.number(0)])
        #expect(try await found(.textAny("fish deepsea")) == [.number(0), .number(1), .number(2)])
        let options = PayloadIndexConfig.TextOptions(tokenizer: .prefix, minimumTokenLength: 2)
        try await shard.setPayloadIndexes([.init(path: PayloadPath("t"), kind: .text, text: options)])
        #expect(try await eventually { try shard.payloadIndexes().allSatisfy { $0.progress == 1 } })
        #expect(try await found(.text("dee fi")) == [.number(0)])
        #expect(try await found(.text("de")) == [.number(0), .number(1), .number(2)])
        #expect(try await found(.phrase("sea fish")) == [.number(0), .number(1)])
        // Deletes go by the same words.
        _ = try await shard.append(
            .deleteMatching(Filter(must: [.field(PayloadPath("t"), .text("dee fi"))])), epoch: Epoch(1))
        #expect(try await shard.all().map(\.id) == [.number(1), .number(2), .number(3)])
        await shard.close()
    }

    @Test(arguments: [
        ("a", [.key("a")]), ("a.b", [.key("a"), .key("b")]), ("a[].b", [.key("a"), .elements, .key("b")]),
        ("a[7]", [.key("a"), .index(7)]), (#""a.b".c"#, [.key("a.b"), .key("c")]),
        ("a[][0]", [.key("a"), .elements, .index(0)]), ("", nil), ("a.", nil), (".a", nil), ("a[", nil), ("a[x]", nil),
        ("a[-1]", nil), ("a[]b", nil), (#""a"#, nil),
    ] as [(String, [PayloadPath.Step]?)])
    func pathsAreSplit(text: String, steps: [PayloadPath.Step]?) {
        #expect(PayloadPath(text).steps == steps)
    }

    @Test(arguments: [
        "2020-02-30", "2020-1-01", "2020-01-01T24:00:00Z", "2020-01-01T00:00:00+25:00", "2020-01-01T00:00:00.Z", "now",
        "2020-01-01T", "2020-01-01Z", "",
    ])
    func whatIsNoDateIsNone(text: String) { #expect(Datetime.microseconds(text) == nil) }

    /// Computed by the reference implementation of the dialect's client.
    @Test func slicesAreThoseOfTheDialect() {
        let slices = (0..<8 as Range<UInt64>).map { id in
            (0..<5).first { IDSlice(total: 5, index: $0).contains(.number(id)) }
        }
        #expect(slices == Self.referenceSlices)
        #expect(IDSlice(total: 7, index: Self.uuidSlice).contains(.uuid(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)))
    }

    private static let referenceSlices: [UInt32?] = [4, 3, 4, 1, 1, 2, 3, 0]
    private static let uuidSlice: UInt32 = 3
}

import DataModel
import Testing

@Suite struct PointIDTests {
    @Test(arguments: [
        "550e8400-e29b-41d4-a716-446655440000", "550e8400e29b41d4a716446655440000",
        "urn:uuid:550e8400-e29b-41d4-a716-446655440000", "550E8400-E29B-41D4-A716-446655440000",
    ])
    func uuidTextIsReadInEveryFormThatTheDialectTakes(text: String) {
        #expect(PointID(uuidText: text)?.text == "550e8400-e29b-41d4-a716-446655440000")
    }

    @Test(arguments: ["", "550e8400", "550e8400-e29b-41d4-a716-44665544000g", "550e-8400e29b41d4a7164466554400001234", "-1"])
    func otherTextIsNoUUID(text: String) {
        #expect(PointID(uuidText: text) == nil)
    }

    @Test func keyBytesKeepTheOrderOfIDs() {
        let ids: [PointID] = [
            .number(0), .number(1), .number(255), .number(256), .number(.max), .uuid(high: 0, low: 1),
            .uuid(high: 1, low: 0), .uuid(high: .max, low: .max),
        ]
        #expect(ids.sorted() == ids)
        let keys = ids.map(\.keyBytes)
        for (a, b) in zip(keys, keys.dropFirst()) { #expect(a.lexicographicallyPrecedes(b)) }
        for (id, key) in zip(ids, keys) {
            #expect(key.withUnsafeBytes { PointID(keyBytes: $0) } == id)
        }
    }

    @Test func virtualShardsOfNumbersAreEvenAndFixed() {
        var counts = [Int](repeating: 0, count: 128)
        for number in 0..<128_000 as Range<UInt64> { counts[Int(VirtualShard(of: .number(number), count: 128).rawValue)] += 1 }
        #expect(counts.allSatisfy { 850...1_150 ~= $0 })
        // Written to disk and into shard maps: a change of this value loses data.
        #expect(PointID.number(42).hash64 == 0xA2C396223F8BDBDF)
    }
}

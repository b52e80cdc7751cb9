import DataModel
import Testing

@Suite struct VirtualShardSetTests {
    private func set(_ bits: UInt8) -> VirtualShardSet {
        VirtualShardSet(
            (0..<6 as Range<UInt16>).filter { bits & 1 << UInt8($0) != 0 }
                .map { VirtualShardRange(lower: $0, upper: $0) })
    }

    @Test func allSetsOfSixAreAsTheirBits() {
        for one in 0..<64 as Range<UInt8> {
            let first = set(one)
            #expect(first.isEmpty == (one == 0))
            #expect((0..<6 as Range<UInt16>).allSatisfy { first.contains(VirtualShard(rawValue: $0)) == (one & 1 << UInt8($0) != 0) })
            // In the fewest ranges, so that equal sets are equal.
            #expect(zip(first.ranges, first.ranges.dropFirst()).allSatisfy { $0.upper + 1 < $1.lower })
            var isAsBits = true
            for two in 0..<64 as Range<UInt8> {
                let second = set(two)
                isAsBits =
                    isAsBits && first.union(second) == set(one | two) && first.intersection(second) == set(one & two)
                    && first.isSuperset(of: second) == (one & two == two)
            }
            #expect(isAsBits, "with \(first)")
        }
    }

    @Test func rangesThatOverlapOrTouchBecomeOne() {
        let ranges = [
            VirtualShardRange(lower: 6, upper: 9), VirtualShardRange(lower: 0, upper: 3),
            VirtualShardRange(lower: 2, upper: 5), VirtualShardRange(lower: 65_535, upper: 65_535),
        ]
        #expect(
            VirtualShardSet(ranges).ranges == [
                VirtualShardRange(lower: 0, upper: 9), VirtualShardRange(lower: 65_535, upper: 65_535),
            ])
    }
}

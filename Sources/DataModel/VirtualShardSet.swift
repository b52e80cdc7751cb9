/// Some of a collection's virtual shards.
package struct VirtualShardSet: Hashable, Sendable {
    /// Ascending, in as few as can be.
    package let ranges: [VirtualShardRange]

    package init(_ ranges: [VirtualShardRange]) {
        self.ranges = ranges.sorted { $0.lower < $1.lower }.reduce(into: []) { joined, range in
            if let last = joined.last, Int(range.lower) <= Int(last.upper) + 1 {
                joined[joined.count - 1] = VirtualShardRange(lower: last.lower, upper: max(last.upper, range.upper))
            } else {
                joined.append(range)
            }
        }
    }

    package var isEmpty: Bool { ranges.isEmpty }

    package func contains(_ shard: VirtualShard) -> Bool { ranges.contains { $0.contains(shard) } }

    package func isSuperset(of other: VirtualShardSet) -> Bool { intersection(other) == other }

    package func union(_ other: VirtualShardSet) -> VirtualShardSet { VirtualShardSet(ranges + other.ranges) }

    package func intersection(_ other: VirtualShardSet) -> VirtualShardSet {
        VirtualShardSet(
            ranges.flatMap { range in
                other.ranges.compactMap {
                    let (first, last) = (max(range.lower, $0.lower), min(range.upper, $0.upper))
                    return first <= last ? VirtualShardRange(lower: first, upper: last) : nil
                }
            })
    }
}

extension VirtualShardSet: BinaryCodable {
    package func encode(to writer: inout BinaryWriter) { writer.write(ranges) { $1.encode(to: &$0) } }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        self.init(
            try reader.readArray { (reader) throws(BinaryFormatError) in try VirtualShardRange(from: &reader) })
    }
}

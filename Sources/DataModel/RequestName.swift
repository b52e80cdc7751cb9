internal import CXXHash

/// What a write is called, so that a shard knows it again when it comes a second time.
///
/// 128 bits: drawn by a coordinator for its own tries, or the hash of what a client called its request. The highest bit
/// tells the two apart.
package struct RequestName: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    private static let drawnBit: UInt64 = 1 << 63

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A name that nothing else has.
    package static func random() -> RequestName {
        var generator = SystemRandomNumberGenerator()
        return RequestName(high: generator.next() | drawnBit, low: generator.next())
    }

    /// What stands for a client's words.
    ///
    /// - Parameter operation: the place in a batch of operations that are written one after the other under one name.
    package init(_ text: String, operation: Int = 0) {
        var writer = BinaryWriter(capacity: 96)
        writer.write(text)
        writer.write(UInt32(operation))
        var halves: (UInt64, UInt64) = (0, 0)
        writer.bytes.withUnsafeBytes { shoal_xxh3_128($0.baseAddress, $0.count, &halves.0, &halves.1) }
        self.init(high: halves.0 & ~Self.drawnBit, low: halves.1)
    }
}

/// A write's name, with what tells it from another write under the same one.
package struct RequestStamp: Hashable, Sendable {
    package var name: RequestName
    /// A hash of all that the client asked for; 0 where the name is a coordinator's, which is not given twice.
    package var digest: UInt64

    package init(name: RequestName, digest: UInt64) {
        self.name = name
        self.digest = digest
    }

    /// That of a coordinator, for its own tries.
    package static func random() -> RequestStamp { RequestStamp(name: .random(), digest: 0) }

    /// That of the part of a request which was meant for a shard that others have taken the place of. Parts that were meant
    /// for several shards may now be for one, which must not take the second for the first.
    package func moved(from shard: ShardNumber) -> RequestStamp {
        RequestStamp(
            name: RequestName("\(name.high) \(name.low)", operation: Int(shard.rawValue)), digest: digest)
    }
}

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
    /// The virtual shards that the write is for, where it was meant for a physical shard that others have taken the place
    /// of: they may get several parts of one request, each under its name. Nil for all that the shard has.
    ///
    /// It counts together with those that the shard has which does the write: of two shards that get parts with the same
    /// scope, each has done what both the scope and it have.
    package var scope: VirtualShardSet?

    package init(name: RequestName, digest: UInt64, scope: VirtualShardSet? = nil) {
        (self.name, self.digest, self.scope) = (name, digest, scope)
    }

    /// That of a coordinator, for its own tries.
    package static func random() -> RequestStamp { RequestStamp(name: .random(), digest: 0) }
}

/// A write under a name that a shard has done.
package struct RememberedWrite: Hashable, Sendable {
    package var stamp: RequestStamp
    /// That of the write, in the shard that it was done in.
    package var sequence: SequenceNumber

    package init(_ stamp: RequestStamp, sequence: SequenceNumber) { (self.stamp, self.sequence) = (stamp, sequence) }

    /// Both, when they are parts of one write.
    package func joined(with former: RememberedWrite?) -> RememberedWrite {
        guard let former, former.stamp.digest == stamp.digest, let own = stamp.scope else { return self }
        var joined = self
        joined.stamp.scope = former.stamp.scope.map(own.union)
        joined.sequence = max(sequence, former.sequence)
        return joined
    }

    /// What another shard has to remember of it that takes over some virtual shards of the one that has done it.
    ///
    /// - Parameter scope: these; nil when they are all that the other shard has.
    package func moved(to scope: VirtualShardSet?) -> RememberedWrite? {
        guard let scope else { return self }
        var moved = self
        let part = stamp.scope.map(scope.intersection) ?? scope
        moved.stamp.scope = part
        return part.isEmpty ? nil : moved
    }
}

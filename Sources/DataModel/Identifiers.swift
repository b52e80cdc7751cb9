/// A number or text that means one kind of thing, so that two kinds cannot be mixed up. In JSON it is its raw value.
package protocol Identifier: RawRepresentable, Hashable, Sendable, Comparable, Codable, CustomStringConvertible
where RawValue: Hashable & Sendable & Comparable & Codable & CustomStringConvertible {
    init(rawValue: RawValue)
}

extension Identifier {
    package init(_ rawValue: RawValue) { self.init(rawValue: rawValue) }
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
    package var description: String { rawValue.description }
}

/// A node of the cluster: 1 is the first node of `cluster.yaml`.
package struct NodeID: Identifier {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// The unique identity of one creation of a collection; a collection dropped and made again under its name has another.
/// Lower-case hexadecimal, 32 digits, safe as a folder name.
package struct CollectionID: Identifier {
    package let rawValue: String

    package static func random() -> CollectionID {
        var generator = SystemRandomNumberGenerator()
        let halves = [generator.next(), generator.next()].map { (half: UInt64) in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        return CollectionID(halves.joined())
    }

    package init(rawValue: String) { self.rawValue = rawValue }
}

/// The number of a physical shard within its collection.
package struct ShardNumber: Identifier {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// A physical shard, named across the whole cluster.
package struct ShardID: Hashable, Sendable, Comparable, Codable, CustomStringConvertible {
    package let collection: CollectionID
    package let number: ShardNumber

    package init(collection: CollectionID, number: ShardNumber) {
        self.collection = collection
        self.number = number
    }

    package static func < (lhs: Self, rhs: Self) -> Bool {
        (lhs.collection, lhs.number) < (rhs.collection, rhs.number)
    }

    package var description: String { "\(collection)/\(number)" }
}

/// Counts the changes of a physical shard's primary or in-sync set. The first configuration has epoch 1.
package struct Epoch: Identifier {
    package let rawValue: UInt64

    package var next: Epoch { Epoch(rawValue + 1) }

    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Numbers the writes of a physical shard. The first write is 1; 0 means that nothing was written.
package struct SequenceNumber: Identifier {
    package let rawValue: UInt64

    package static let zero = SequenceNumber(0)
    package var next: SequenceNumber { SequenceNumber(rawValue + 1) }

    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A place in a physical shard's history: the last write applied and the epoch in which it was given its sequence.
///
/// Two replicas whose positions are equal have the same history, since an epoch has one primary.
package struct LogPosition: Hashable, Sendable, Comparable {
    package var sequence: SequenceNumber
    package var epoch: Epoch

    package init(sequence: SequenceNumber, epoch: Epoch) {
        self.sequence = sequence
        self.epoch = epoch
    }

    package static let start = LogPosition(sequence: .zero, epoch: Epoch(0))
    package static func < (lhs: Self, rhs: Self) -> Bool { (lhs.epoch, lhs.sequence) < (rhs.epoch, rhs.sequence) }

    /// Where the next write goes when it is ordered in `epoch`; nil when a later epoch has written here already.
    package func next(in epoch: Epoch) -> LogPosition? {
        epoch < self.epoch ? nil : LogPosition(sequence: sequence.next, epoch: epoch)
    }

    /// Whether a log may go on with `next` behind this position: no gap, and no older epoch.
    package func isFollowed(by next: LogPosition) -> Bool { next == self.next(in: next.epoch) }
}

/// One of the fixed hash slots of a collection. The virtual shard of a point never changes.
package struct VirtualShard: Identifier {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// - Precondition: `count` is in `Limits.virtualShards`.
    package init(of id: PointID, count: Int) {
        rawValue = UInt16(id.hash64 % UInt64(count))
    }
}

/// A run of virtual shards, inclusive at both ends: `[lower, upper]` in JSON.
package struct VirtualShardRange: Hashable, Sendable, Codable, CustomStringConvertible {
    package let lower: UInt16
    package let upper: UInt16

    /// - Precondition: `lower <= upper`.
    package init(lower: UInt16, upper: UInt16) {
        precondition(lower <= upper)
        self.lower = lower
        self.upper = upper
    }

    package func contains(_ shard: VirtualShard) -> Bool { lower <= shard.rawValue && shard.rawValue <= upper }
    package var count: Int { Int(upper) - Int(lower) + 1 }
    package var description: String { lower == upper ? "\(lower)" : "\(lower)-\(upper)" }
}

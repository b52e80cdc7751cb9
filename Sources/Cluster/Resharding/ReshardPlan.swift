package import DataModel

/// What a split or a merge does: which shards are replaced, and by how many that own what.
package struct ReshardPlan: Sendable, Codable, Equatable {
    package var collection: CollectionID
    package var from: [ShardNumber]
    /// What each new shard owns; together the same as the old ones.
    package var into: [[VirtualShardRange]]
    /// The old shard beside whose replicas the new ones lie.
    package var anchor: ShardNumber

    package init(collection: CollectionID, from: [ShardNumber], into: [[VirtualShardRange]], anchor: ShardNumber) {
        self.collection = collection
        self.from = from
        self.into = into
        self.anchor = anchor
    }

    package var sources: [ShardID] { from.map { ShardID(collection: collection, number: $0) } }

    package var isSplit: Bool { into.count >= from.count }
}

/// Why shards cannot be split or merged as asked.
package enum ReshardError: Error, Sendable, Equatable {
    case noSuchShard(ShardNumber)
    /// A shard cannot be divided into more than its virtual shards.
    case tooManyParts(shard: ShardNumber, parts: Int, virtualShards: Int)
    /// A merge takes two shards at least.
    case tooFewShards
    /// More shards than one operation divides one into, or puts together; `limit` is the most.
    case tooManyShards(count: Int, limit: Int)
    /// A merge ends with fewer shards than there are, and with one at least.
    case wrongTarget(shards: Int, target: Int)
}

/// Plans splits and merges. Pure.
package enum Resharding {
    /// The most shards that one operation replaces, or makes: all of them change in one transaction of the control store.
    package static let mostShards = 32

    /// What the planner knows of a shard that serves.
    package struct Shard: Sendable, Equatable {
        package var number: ShardNumber
        package var virtualShards: [VirtualShardRange]
        package var bytes: UInt64

        package init(number: ShardNumber, virtualShards: [VirtualShardRange], bytes: UInt64 = 0) {
            self.number = number
            self.virtualShards = virtualShards
            self.bytes = bytes
        }

        package var count: Int { virtualShards.reduce(0) { $0 + $1.count } }
    }

    /// Divides one shard.
    package static func split(
        _ shard: Shard, into parts: Int, of collection: CollectionID
    ) throws(ReshardError) -> ReshardPlan {
        guard 1 < parts, parts <= shard.count else {
            throw .tooManyParts(shard: shard.number, parts: parts, virtualShards: shard.count)
        }
        guard parts <= mostShards else { throw .tooManyShards(count: parts, limit: mostShards) }
        return ReshardPlan(
            collection: collection, from: [shard.number], into: divide(shard.virtualShards, into: parts),
            anchor: shard.number)
    }

    /// Puts shards together; the result lies where the largest of them does, so that least moves.
    package static func merge(_ shards: [Shard], of collection: CollectionID) throws(ReshardError) -> ReshardPlan {
        guard shards.count > 1 else { throw .tooFewShards }
        guard shards.count <= mostShards else { throw .tooManyShards(count: shards.count, limit: mostShards) }
        let sorted = shards.sorted { $0.number < $1.number }
        let anchor = sorted.reduce(sorted[0]) { $1.bytes > $0.bytes ? $1 : $0 }
        return ReshardPlan(
            collection: collection, from: sorted.map(\.number), into: [VirtualShardSet(shards.flatMap(\.virtualShards)).ranges],
            anchor: anchor.number)
    }

    /// Merges neighbours until `target` shards are left, which own about the same number of virtual shards.
    package static func merge(
        _ shards: [Shard], to target: Int, of collection: CollectionID
    ) throws(ReshardError) -> [ReshardPlan] {
        guard 0 < target, target < shards.count else { throw .wrongTarget(shards: shards.count, target: target) }
        let sorted = shards.sorted { ($0.virtualShards.first?.lower ?? 0) < ($1.virtualShards.first?.lower ?? 0) }
        let total = sorted.reduce(0) { $0 + $1.count }
        var groups: [[Shard]] = [[]]
        var owned = 0
        for (index, shard) in sorted.enumerated() {
            // The next group begins where the share of those before it is reached, and while each has a shard to get.
            let isFull = (owned + shard.count / 2) * target >= total * groups.count
            let missing = target - groups.count
            if !groups[groups.count - 1].isEmpty, missing > 0, isFull || sorted.count - index <= missing {
                groups.append([])
            }
            groups[groups.count - 1].append(shard)
            owned += shard.count
        }
        var plans: [ReshardPlan] = []
        for group in groups where group.count > 1 { plans.append(try merge(group, of: collection)) }
        return plans
    }

    /// Parts that differ in their number of virtual shards by at most one, in order.
    package static func divide(_ ranges: [VirtualShardRange], into parts: Int) -> [[VirtualShardRange]] {
        let total = ranges.reduce(0) { $0 + $1.count }
        precondition(0 < parts && parts <= total)
        var result: [[VirtualShardRange]] = []
        var rest = ranges.sorted { $0.lower < $1.lower }[...]
        for part in 0..<parts {
            var wanted = (part + 1) * total / parts - part * total / parts
            var own: [VirtualShardRange] = []
            while wanted > 0, let range = rest.first {
                rest.removeFirst()
                let upper = Int(range.lower) + min(wanted, range.count) - 1
                own.append(VirtualShardRange(lower: range.lower, upper: UInt16(upper)))
                wanted -= upper - Int(range.lower) + 1
                if upper < Int(range.upper) {
                    rest = [VirtualShardRange(lower: UInt16(upper + 1), upper: range.upper)] + rest
                }
            }
            result.append(own)
        }
        return result
    }
}

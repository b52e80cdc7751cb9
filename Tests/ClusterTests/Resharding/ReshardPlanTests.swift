import Cluster
import DataModel
import Testing

@Suite struct ReshardPlanTests {
    private let collection = CollectionID("c")

    private func range(_ lower: Int, _ upper: Int) -> VirtualShardRange {
        VirtualShardRange(lower: UInt16(lower), upper: UInt16(upper))
    }

    private func shards(_ count: Int) -> [Resharding.Shard] {
        Placement.ranges(virtualShards: 128, physicalShards: count).enumerated().map { number, range in
            Resharding.Shard(number: ShardNumber(UInt32(number)), virtualShards: [range], bytes: UInt64(number))
        }
    }

    private func owned(_ ranges: [VirtualShardRange]) -> [UInt16] { ranges.flatMap { Array($0.lower...$0.upper) } }

    @Test func aSplitDividesVirtualShardsEvenlyAndLosesNone() throws {
        for count in 1...40 {
            for parts in [2, 3, 4, 7] {
                let shard = Resharding.Shard(
                    number: ShardNumber(5), virtualShards: [range(3, 3 + count), range(60, 60), range(90, 99)])
                let plan = try Resharding.split(shard, into: parts, of: collection)
                #expect(plan.from == [ShardNumber(5)] && plan.anchor == ShardNumber(5) && plan.isSplit)
                #expect(plan.into.count == parts)
                #expect(plan.into.flatMap(owned) == owned(shard.virtualShards))
                let sizes = plan.into.map { owned($0).count }
                #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
            }
        }
    }

    @Test func aShardIsNotDividedIntoMoreThanItsVirtualShards() {
        let shard = Resharding.Shard(number: ShardNumber(0), virtualShards: [range(4, 6)])
        for parts in [-1, 0, 1, 4] {
            #expect(throws: ReshardError.tooManyParts(shard: ShardNumber(0), parts: parts, virtualShards: 3)) {
                try Resharding.split(shard, into: parts, of: collection)
            }
        }
    }

    @Test func aMergeOwnsWhatItsSourcesDidAndLiesWhereTheLargestIs() throws {
        let plan = try Resharding.merge(
            [
                Resharding.Shard(number: ShardNumber(7), virtualShards: [range(10, 19)], bytes: 5),
                Resharding.Shard(number: ShardNumber(2), virtualShards: [range(0, 9), range(30, 31)], bytes: 9),
                Resharding.Shard(number: ShardNumber(3), virtualShards: [range(20, 24)], bytes: 9),
            ], of: collection)
        #expect(plan.from == [2, 3, 7].map { ShardNumber($0) })
        #expect(plan.into == [[range(0, 24), range(30, 31)]])
        #expect(plan.anchor == ShardNumber(2))
        #expect(!plan.isSplit)
    }

    @Test func aMergeToANumberLeavesThatManyOfAboutEqualSize() throws {
        for count in 2...24 {
            for target in 1..<count {
                let plans = try Resharding.merge(shards(count), to: target, of: collection)
                let replaced = plans.reduce(0) { $0 + $1.from.count }
                #expect(count - replaced + plans.count == target, "\(count) to \(target)")
                let sizes = plans.map { owned($0.into[0]).count }
                // No more than what is fair and one shard.
                #expect((sizes.max() ?? 0) <= 128 / target + 2 * (128 / count + 1), "\(count) to \(target): \(sizes)")
                #expect(plans.allSatisfy { $0.into.count == 1 && $0.into[0].count == 1 })
            }
        }
        #expect(throws: ReshardError.tooManyShards(count: 33, limit: 32)) {
            try Resharding.split(shards(1)[0], into: 33, of: collection)
        }
        #expect(throws: ReshardError.wrongTarget(shards: 3, target: 3)) {
            try Resharding.merge(shards(3), to: 3, of: collection)
        }
        #expect(throws: ReshardError.wrongTarget(shards: 3, target: 0)) {
            try Resharding.merge(shards(3), to: 0, of: collection)
        }
    }
}

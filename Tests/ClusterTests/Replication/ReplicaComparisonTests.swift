import Cluster
import DataModel
import Synchronization
import Testing

@Suite struct ReplicaComparisonTests {
    private static let ranges = [VirtualShardRange(lower: 0, upper: 3), VirtualShardRange(lower: 8, upper: 9)]
    private static let shards = [0, 1, 2, 3, 8, 9].map { VirtualShard($0) }

    /// Two replicas in memory. `step` runs before each digest that is taken.
    private final class Pair: Sendable {
        struct State: Sendable {
            var sequence: UInt64 = 100
            var mine = Dictionary(uniqueKeysWithValues: shards.map { ($0, VirtualShardDigest(points: 1, hash: 7)) })
            var theirs = Dictionary(uniqueKeysWithValues: shards.map { ($0, VirtualShardDigest(points: 1, hash: 7)) })
            var theirSequence: UInt64 = 100
            var digests = 0
        }

        let state = Mutex(State())
        let step: @Sendable (inout State) -> Void

        init(_ step: @escaping @Sendable (inout State) -> Void) { self.step = step }

        func compare() async throws -> ReplicaComparison.Outcome {
            try await ReplicaComparison(
                mine: { ranges in self.digest(ranges) { ($0.sequence, $0.mine) } },
                theirs: { ranges in self.digest(ranges) { ($0.theirSequence, $0.theirs) } }, pause: { _ in }
            ).run(ReplicaComparisonTests.ranges)
        }

        private func digest(
            _ ranges: [VirtualShardRange], _ side: (State) -> (UInt64, [VirtualShard: VirtualShardDigest])
        ) -> ReplicaDigest {
            state.withLock { state in
                step(&state)
                state.digests += 1
                let (sequence, digests) = side(state)
                return ReplicaDigest(
                    position: LogPosition(sequence: SequenceNumber(sequence), epoch: Epoch(1)),
                    virtualShards: digests.filter { entry in ranges.contains { $0.contains(entry.key) } })
            }
        }
    }

    @Test func equalReplicasAgreeAtTheFirstLook() async throws {
        let pair = Pair { _ in }
        let outcome = try await pair.compare()
        #expect(outcome.points == 6 && outcome.equal == Set(Self.shards))
        #expect(outcome.diverged.isEmpty && outcome.unsettled.isEmpty)
        #expect(pair.state.withLock { $0.digests } == 3)
    }

    @Test func aPointThatIsMissingIsFoundAndNothingElse() async throws {
        let pair = Pair { $0.theirs[VirtualShard(8)] = nil }
        let outcome = try await pair.compare()
        #expect(outcome.diverged == [VirtualShard(8)])
        #expect(outcome.equal == Set(Self.shards).subtracting([VirtualShard(8)]))
        #expect(outcome.unsettled.isEmpty)
    }

    /// A backup that has not applied the last writes yet is late, and nothing else.
    @Test func aBackupThatIsBehindHasNotDiverged() async throws {
        let pair = Pair { state in
            state.theirs[VirtualShard(2)]?.hash = 6
            state.theirSequence = 99
        }
        let outcome = try await pair.compare()
        #expect(outcome.diverged.isEmpty)
        #expect(outcome.unsettled == [VirtualShard(2)])
    }

    /// The backup follows each write before the next digest but one: what is compared is never of one moment.
    @Test(arguments: 0..<20 as Range<UInt64>) func writesInBetweenAreNoDivergence(seed: UInt64) async throws {
        let random = Mutex(SeededGenerator(seed: seed))
        let pair = Pair { state in
            random.withLock { random in
                // What was written before the last digest has arrived.
                if Bool.random(using: &random) { (state.theirs, state.theirSequence) = (state.mine, state.sequence) }
                for _ in 0..<Int.random(in: 0...2, using: &random) {
                    let shard = ReplicaComparisonTests.shards.randomElement(using: &random) ?? VirtualShard(0)
                    state.sequence += 1
                    state.mine[shard]?.hash = random.next()
                }
            }
        }
        #expect(try await pair.compare().diverged.isEmpty)
    }

    @Test func aDifferenceIsFoundBesideWritesToOtherPoints() async throws {
        let pair = Pair { state in
            state.theirs[VirtualShard(1)]?.hash = 1
            state.sequence += 1
            state.mine[VirtualShard(3)]?.hash = state.sequence
            state.theirs[VirtualShard(3)] = state.mine[VirtualShard(3)]
            state.theirSequence = state.sequence
        }
        #expect(try await pair.compare().diverged == [VirtualShard(1)])
    }
}

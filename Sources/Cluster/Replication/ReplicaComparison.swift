package import DataModel

/// Compares what a primary and one of its backups have of each virtual shard, while writes go on.
///
/// Digests are taken at different moments, so a difference means something only when the primary's did not change around
/// the backup's, and the backup had everything by then. Virtual shards that are being written are looked at again, one by
/// one: the digest of one takes a moment.
package struct ReplicaComparison {
    package typealias Digest = ([VirtualShardRange]) async throws(ShardError) -> ReplicaDigest

    package struct Outcome: Sendable, Equatable {
        /// Points of the virtual shards that agree.
        package var points: UInt64 = 0
        package var equal: Set<VirtualShard> = []
        /// The same history, and other points or versions.
        package var diverged: Set<VirtualShard> = []
        /// Written too often to be compared.
        package var unsettled: Set<VirtualShard> = []
    }

    /// So often a difference must be found, each time the same, before it counts.
    private static let confirmations = 3
    private static let attempts = 12

    private struct Suspicion: Equatable {
        var mine: VirtualShardDigest
        var theirs: VirtualShardDigest
    }

    private let mine: Digest
    private let theirs: Digest
    private let pause: (Int) async -> Void

    /// - Parameter pause: called before each further attempt, with its number.
    package init(
        mine: @escaping Digest, theirs: @escaping Digest, pause: @escaping (_ attempt: Int) async -> Void
    ) {
        self.mine = mine
        self.theirs = theirs
        self.pause = pause
    }

    /// - Throws: what a digest throws.
    package func run(_ ranges: [VirtualShardRange]) async throws(ShardError) -> Outcome {
        var outcome = Outcome()
        outcome.unsettled = Set(ranges.flatMap(\.virtualShards))
        var suspicions: [VirtualShard: (what: Suspicion, count: Int)] = [:]
        for attempt in 0..<Self.attempts where !outcome.unsettled.isEmpty {
            if attempt > 0 { await pause(attempt) }
            let pieces = attempt == 0 ? [ranges] : outcome.unsettled.sorted().map { [VirtualShardRange($0)] }
            for piece in pieces {
                let before = try await mine(piece)
                let other = try await theirs(piece)
                let after = try await mine(piece)
                for shard in piece.flatMap(\.virtualShards) {
                    if other[shard] == before[shard] || other[shard] == after[shard] {
                        outcome.settle(shard, as: \.equal)
                        outcome.points += other[shard].points
                    } else if before[shard] == after[shard], other.position.sequence >= before.position.sequence {
                        let found = Suspicion(mine: before[shard], theirs: other[shard])
                        let former = suspicions[shard]
                        let count = former?.what == found ? (former?.count ?? 0) + 1 : 1
                        suspicions[shard] = (found, count)
                        if count >= Self.confirmations { outcome.settle(shard, as: \.diverged) }
                    }
                }
            }
        }
        return outcome
    }
}

extension ReplicaComparison.Outcome {
    fileprivate mutating func settle(_ shard: VirtualShard, as verdict: WritableKeyPath<Self, Set<VirtualShard>>) {
        unsettled.remove(shard)
        self[keyPath: verdict].insert(shard)
    }
}

extension VirtualShardRange {
    fileprivate var virtualShards: [VirtualShard] { (lower...upper).map { VirtualShard($0) } }

    fileprivate init(_ shard: VirtualShard) { self.init(lower: shard.rawValue, upper: shard.rawValue) }
}

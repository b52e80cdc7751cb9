package import DataModel

/// How many replicas of each shard a read asks, and which of them may answer.
package enum ReadConsistency: Sendable, Equatable {
    /// Any one in-sync replica: it holds every acknowledged write.
    case one
    /// So many in-sync replicas; no more than there are copies.
    case factor(Int)
    /// As many in-sync replicas as are more than half of the copies.
    case majority
    /// All in-sync replicas are asked, and more than half of the copies must answer.
    case quorum
    /// All copies, so none may be down or catching up.
    case all
    /// Any replica that answers, also one that is not in sync, or whose node has no lease: acknowledged writes may be
    /// missing, and deleted points be there.
    case stale

    /// How many replicas must answer for a shard that is to have so many copies.
    package func needed(copies: Int) -> Int {
        switch self {
        case .one, .stale: 1
        case .factor(let count): max(1, min(count, copies))
        case .majority, .quorum: copies / 2 + 1
        case .all: max(1, copies)
        }
    }

    /// How many of the available replicas are asked at once.
    package func asked(copies: Int, available: Int) -> Int {
        self == .quorum ? available : min(needed(copies: copies), available)
    }
}

/// What a client may say of how a read is done.
package struct ReadOptions: Sendable, Equatable {
    package var consistency: ReadConsistency
    /// Whether a shard that nobody answers for is left out, instead of failing the read.
    package var allowsPartial: Bool

    package init(consistency: ReadConsistency = .one, allowsPartial: Bool = false) {
        self.consistency = consistency
        self.allowsPartial = allowsPartial
    }

    /// Any in-sync replica of every shard.
    package static let standard = ReadOptions()
}

/// What a read found, and what its reader has to know of it.
package struct Reading<Value: Sendable>: Sendable {
    package var value: Value
    /// The shards whose points are not in it, ascending; only with `allowsPartial`.
    package var missingShards: [ShardNumber]
    /// Whether it came from replicas that were not asked by what right they answer.
    package var isStale: Bool

    package init(_ value: Value, missingShards: [ShardNumber] = [], isStale: Bool = false) {
        self.value = value
        self.missingShards = missingShards
        self.isStale = isStale
    }
}

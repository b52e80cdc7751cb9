import DataModel

extension DatabaseError {
    /// What the client is told when shard `shard` of `collection` failed for good with `error`.
    init(_ error: ShardError, collection: String, shard: ShardNumber) {
        let reason = "shard \(shard) of collection \(collection): \(error)"
        switch error {
        case .notHosted, .notServing, .notPrimary, .staleEpoch, .insufficientReplicas, .unreachable, .corrupted:
            self = .unavailable(reason: reason)
        case .deadlineExceeded: self = .deadlineExceeded(reason: reason)
        case .overloaded: self = .overloaded(reason: reason)
        case .invalid(let detail): self = .invalid(reason: detail)
        case .versionConflict(let conflict):
            self = .writeConflict(WriteConflict(refusals: [.init(shard: shard, conflict: conflict)]))
        case .requestNameReused: self = .requestIDReused(reason: reason)
        case .outOfSpace: self = .outOfSpace(reason: reason)
        case .storage: self = .internalFailure(reason: reason)
        }
    }
}

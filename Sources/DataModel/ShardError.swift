/// Why a replica did not do what it was asked.
package enum ShardError: Error, Sendable, Equatable {
    /// The node holds no replica of the shard (any more).
    case notHosted(ShardID)
    /// The replica may not answer now: it lost its lease, is not in the in-sync set, or is still opening.
    case notServing(reason: String)
    /// The write went to a replica that is not the primary.
    case notPrimary
    /// The message carries an older epoch than the replica's, which is `current`.
    case staleEpoch(current: Epoch)
    /// The in-sync set is smaller than the collection's write consistency factor.
    case insufficientReplicas(inSync: Int, required: Int)
    /// The node could not be reached, or the connection broke: whether the request took effect is unknown.
    case unreachable(reason: String)
    case deadlineExceeded
    /// Writes come in faster than they can be indexed or replicated, and the wait for room took too long.
    case overloaded(reason: String)
    /// The request contradicts the schema. The coordinator checks first, so this is a race with a schema change.
    case invalid(reason: String)
    /// A condition of the write does not hold: nothing of it was done in this shard.
    case versionConflict(VersionConflict)
    /// The shard has done another write under the same name.
    case requestNameReused
    /// The disk or LMDB map has no room: writes stop, reads go on.
    case outOfSpace(reason: String)
    /// What is on disk is not what was written: the replica serves nothing from it.
    case corrupted(reason: String)
    /// Any other failure of the storage.
    case storage(reason: String)

    /// Whether another replica, or the same one a little later, may succeed.
    package var isTransient: Bool {
        switch self {
        case .notHosted, .notServing, .notPrimary, .staleEpoch, .unreachable: true
        case .insufficientReplicas, .deadlineExceeded, .overloaded, .invalid, .versionConflict, .requestNameReused,
            .outOfSpace, .corrupted, .storage:
            false
        }
    }

    /// Whether the replica is quarantined: it will not answer before it is filled anew from another one.
    package var isDamage: Bool {
        if case .corrupted = self { true } else { false }
    }

    /// Whether the request may have taken effect although it failed.
    package var isAmbiguous: Bool {
        switch self {
        case .unreachable, .deadlineExceeded: true
        default: false
        }
    }
}

extension ShardError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notHosted(let shard): "the node holds no replica of shard \(shard)"
        case .notServing(let reason): "the replica does not serve: \(reason)"
        case .notPrimary: "the replica is not the primary"
        case .staleEpoch(let current): "the request's epoch is older than the replica's, \(current)"
        case .insufficientReplicas(let inSync, let required):
            "\(inSync) replicas are in sync, and the write consistency factor is \(required)"
        case .unreachable(let reason): "the node cannot be reached: \(reason)"
        case .deadlineExceeded: "the deadline passed"
        case .overloaded(let reason): "overloaded: \(reason)"
        case .invalid(let reason): reason
        case .versionConflict(let conflict): conflict.description
        case .requestNameReused: "the request id was used for another write"
        case .outOfSpace(let reason): "out of space: \(reason)"
        case .corrupted(let reason): "damaged data: \(reason)"
        case .storage(let reason): "storage failure: \(reason)"
        }
    }
}

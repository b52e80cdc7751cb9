package import DataModel

/// A write whose conditions did not hold in some of its shards, each of which did nothing of its part.
package struct WriteConflict: Sendable, Equatable {
    package struct Refusal: Sendable, Equatable {
        package var shard: ShardNumber
        /// The first of the shard's conditions that did not hold.
        package var conflict: VersionConflict

        package init(shard: ShardNumber, conflict: VersionConflict) {
            self.shard = shard
            self.conflict = conflict
        }
    }

    package var refusals: [Refusal]
    /// Shards that have done their parts.
    package var applied: [ShardNumber]

    package init(refusals: [Refusal], applied: [ShardNumber] = []) {
        self.refusals = refusals
        self.applied = applied
    }
}

extension WriteConflict: CustomStringConvertible {
    package var description: String {
        let reasons = refusals.map(\.conflict.description).joined(separator: "; ")
        guard !applied.isEmpty else { return "\(reasons); nothing was written" }
        let refused = refusals.map(\.shard.description).joined(separator: ", ")
        return "\(reasons); nothing was written in shards \(refused), and all that belongs to shards "
            + applied.map(\.description).joined(separator: ", ")
    }
}

package import DataModel

/// By what right a replica answers coordinators. Pure.
///
/// It is asked before the work, so that every write acknowledged until then is in the answer, and again after it, since
/// the process may have been stopped for long in between. Both times the state is one read from the control store since,
/// or one that a primary which removes a replica waits for (`PrimaryState.unsettled`).
package enum ServingRight {
    /// The shard's record, by which the replica on `node` may answer.
    ///
    /// - Throws: `notServing` without a lease or outside the in-sync set, `notHosted`.
    package static func record(
        of shard: ShardID, on node: NodeID, in state: ClusterState, holdsLease: Bool
    ) throws(ShardError) -> ShardRecord {
        guard holdsLease else { throw .notServing(reason: "node \(node) holds no lease") }
        guard let record = state.shard(shard)?.value, let replica = record.replica(on: node) else {
            throw .notHosted(shard)
        }
        guard replica.state == .inSync else { throw .notServing(reason: "the replica is catching up") }
        guard record.filling == nil else { throw .notServing(reason: "the shard is still being filled") }
        return record
    }

    /// Whether the state knows the shard as well as the sender of a request does; else it is to be read anew.
    package static func suffices(_ state: ClusterState, for epoch: Epoch, of shard: ShardID) -> Bool {
        state.shard(shard).map { $0.value.epoch >= epoch } ?? false
    }

    /// - Throws: `staleEpoch` when the coordinator's shard map is older than the record.
    package static func check(epoch: Epoch, against record: ShardRecord) throws(ShardError) {
        if epoch < record.epoch { throw .staleEpoch(current: record.epoch) }
    }
}

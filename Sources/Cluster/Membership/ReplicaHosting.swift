package import DataModel

/// What a node may do with the files of a replica. Pure.
package enum ReplicaHosting {
    /// Whether a replica that has no files may begin with none.
    ///
    /// The files of an in-sync replica exist from the collection's creation on: without them an empty shard would pass
    /// for one that holds every write. Of a shard that is being filled only the primary's begin with nothing.
    package static func mayBeginEmpty(_ record: ShardRecord, on node: NodeID, in state: ClusterState) -> Bool {
        !record.isInSync(node) || record.filling != nil && record.primary == node
            || state.collection(record.id.collection)?.value.state == .creating
    }

    /// Whether no record names the replica any more, so that its files may go.
    ///
    /// - Parameter state: read after the node stopped to answer for the replica: on an old state nothing is deleted.
    package static func mayRemove(_ id: ShardID, on node: NodeID, in state: ClusterState) -> Bool {
        // A record that this version cannot read counts as absent elsewhere; here that would cost data.
        guard state.cluster != nil, state.unreadableKeys.isEmpty else { return false }
        if let record = state.shard(id)?.value { return record.replica(on: node) == nil }
        guard let collection: Stored<CollectionRecord> = state.collection(id.collection) else { return true }
        // A shard that was split or merged is gone from a collection that goes on; others own all that it owned.
        return collection.value.state == .deleting
            || collection.value.state == .ready && state.routing(of: id.collection)?.isComplete == true
    }

    /// The record without a replica whose data is damaged or gone in the in-sync set; nil while no other one that is in
    /// sync and alive could stand in.
    package static func leavingInSyncSet(
        _ record: ShardRecord, on node: NodeID, live: Set<NodeID>
    ) -> ShardRecord? {
        guard record.isInSync(node), let heir = record.inSync.first(where: { $0 != node && live.contains($0) }) else {
            return nil
        }
        return record.primary == node
            ? record.failingOver(to: heir, dead: [node]) : try? record.demoting(node, by: record.primary)
    }
}

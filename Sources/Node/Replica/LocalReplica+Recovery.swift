import Cluster
import DataModel
import Shard
import Synchronization

/// A replica of a collection that is being recovered from a snapshot: in sync with the others by getting the same files.
extension LocalReplica {
    /// Whether there is nothing to open before the files of a snapshot have come.
    func awaitsFiles() async throws(ShardError) -> Bool {
        let current = try await environment.freshState()
        // What another process began to fill is thrown away, and its record soon.
        if let record = current.shard(id)?.value, record.filling != nil, record.primary == node {
            return !mayFill(record, in: current)
        }
        guard current.collection(id.collection)?.value.recovery != nil else { return false }
        return !Shard.exists(folder: folder)
    }

    /// Only a replica without files takes them; whoever sends them a second time comes too late.
    func admitRecovery(_ current: ClusterState) throws(ShardError) {
        guard current.shard(id)?.value.replica(on: node) != nil else { throw .notHosted(id) }
        let isWaiting = state.withLock { state in
            if case .awaitingFiles = state.phase { true } else { false }
        }
        guard isWaiting else { throw .notServing(reason: "the replica does not wait for files") }
    }
}

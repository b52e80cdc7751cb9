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
        // One that came later catches up like others.
        guard isRecovering(in: current), current.shard(id)?.value.isInSync(node) == true else { return false }
        return !Shard.exists(folder: folder)
    }

    private func isRecovering(in current: ClusterState) -> Bool {
        current.collection(id.collection)?.value.recovery != nil
    }

    /// Opens what there is when nobody sends files any more.
    func endAwaiting(_ record: ShardRecord, in current: ClusterState) {
        guard record.filling == nil, !isRecovering(in: current) else { return }
        let isOver = state.withLock { state in
            guard case .awaitingFiles = state.phase else { return false }
            state.phase = .opening
            return true
        }
        if isOver { Task { await open() } }
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

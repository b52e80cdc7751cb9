import Cluster
import DataModel
import Logging
import Shard
import Synchronization

extension LocalReplica {
    /// The collection's record says which payload indexes there are; this is how far the open shard was told.
    struct PayloadIndexState {
        var wanted: [PayloadIndexConfig] = []
        /// Nil until the shard that is open now was told once.
        var applied: [PayloadIndexConfig]?
        /// Held by the one task that tells it.
        var isApplying = false
    }

    /// Makes the open shard's payload indexes those of the collection's record, in the background.
    func reconcilePayloadIndexes(_ current: ClusterState) {
        guard let wanted = current.collection(id.collection)?.value.config.payloadIndexes else { return }
        let isNews = state.withLock { state in
            state.payloadIndexes.wanted = wanted
            guard case .open = state.phase, !state.payloadIndexes.isApplying, state.payloadIndexes.applied != wanted
            else { return false }
            state.payloadIndexes.isApplying = true
            return true
        }
        if isNews { Task { await applyPayloadIndexes() } }
    }

    /// Goes on until the shard has what is wanted by then, however often that changes meanwhile.
    private func applyPayloadIndexes() async {
        while let (shard, wanted) = nextPayloadIndexes() {
            do throws(ShardError) {
                try await shard.setPayloadIndexes(wanted)
                state.withLock { state in
                    // Another shard may be open by now, which was told nothing yet.
                    guard case .open(let open) = state.phase, open === shard else { return }
                    state.payloadIndexes.applied = wanted
                }
            } catch {
                logger.warning("The payload indexes cannot be set: \(error)")
                try? await Task.sleep(for: Self.retryDelay)
            }
        }
    }

    /// Nil, and nobody is applying any more, when there is nothing to do.
    private func nextPayloadIndexes() -> (Shard, [PayloadIndexConfig])? {
        state.withLock { state in
            let indexes = state.payloadIndexes
            guard case .open(let shard) = state.phase, indexes.applied != indexes.wanted else {
                state.payloadIndexes.isApplying = false
                return nil
            }
            return (shard, indexes.wanted)
        }
    }
}

import Cluster
import DataModel
import Logging
import Shard
import Synchronization

extension LocalReplica {
    /// A damaged replica leaves the in-sync set when another one can stand in, throws its files away, and catches up
    /// from nothing like a new one. The last in-sync replica stays as it is, for an operator to look at.
    func healIfNeeded(_ record: Stored<ShardRecord>) {
        let begins = state.withLock { state in
            guard case .damaged = state.phase, !state.isHealing else { return false }
            state.isHealing = true
            return true
        }
        guard begins else { return }
        Task {
            await heal(record)
            state.withLock { $0.isHealing = false }
        }
    }

    private func heal(_ stored: Stored<ShardRecord>) async {
        do throws(ShardError) {
            if stored.value.isInSync(node) {
                try await leaveInSyncSet(stored)
            } else {
                try await waitUntilReleased()
                try await Blocking.run { [environment, id] () throws(ShardError) in
                    do throws(FileError) {
                        try environment.folder.removeReplica(id)
                    } catch {
                        throw ShardError(error)
                    }
                }
                logger.warning("The damaged files are removed; the replica catches up from its primary")
                state.withLock { $0.phase = .opening }
                await open()
            }
        } catch {
            logger.warning("The replica cannot be healed yet: \(error)")
        }
    }

    private func leaveInSyncSet(_ stored: Stored<ShardRecord>) async throws(ShardError) {
        let record = stored.value
        let live = environment.cache.current.liveNodes
        let others = record.inSync.filter { $0 != node && live.contains($0) }
        guard let target = others.first else { return }
        let changed: ShardRecord
        if record.primary == node {
            changed = record.failingOver(to: target, dead: [node])
        } else {
            guard let demoted = try? record.demoting(node, by: record.primary) else { return }
            changed = demoted
        }
        do {
            let outcome = try await environment.cache.store.compareAndSwap(
                ControlKey.shard(id), expected: stored.revision, value: changed.encoded)
            if case .committed = outcome {
                logger.warning("Left the in-sync set, because the data is damaged or gone")
            }
        } catch {
            throw .notServing(reason: error.description)
        }
    }
}

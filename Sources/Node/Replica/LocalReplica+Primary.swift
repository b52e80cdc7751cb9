import Cluster
import DataModel
import Logging
import Shard
import Synchronization

/// How a replica takes the primary's role on.
extension LocalReplica {
    var isPrimary: Bool { state.withLock { $0.shell.map { !$0.isOver } ?? false } }

    func becomePrimary(_ record: Stored<ShardRecord>, in current: ClusterState) {
        let (shell, renewsEpoch): (PrimaryShell?, Bool) = state.withLock { state in
            guard case .open(let shard) = state.phase, state.shell == nil else { return (nil, false) }
            // What it begins with must be all that former primaries have written here.
            let passage = state.fence.raise(to: record.value.epoch)
            state.isRoleDelayed = passage != .open
            guard passage == .open else { return (nil, false) }
            if mustRenewEpoch(record.value, firstKnown: state.firstEpoch) {
                state.isRoleDelayed = true
                defer { state.isRenewingEpoch = true }
                return (nil, !state.isRenewingEpoch)
            }
            let shell = PrimaryShell(
                record: record, shard: shard, fence: fence,
                writeConsistencyFactor: collection.config.writeConsistencyFactor, cluster: current,
                environment: environment.primary)
            state.shell = shell
            return (shell, false)
        }
        if renewsEpoch { Task { await beginEpoch(after: record) } }
        guard let shell else { return }
        logger.info("Primary in epoch \(record.value.epoch) at sequence \(shell.shard.position.sequence)")
        shell.begin()
        shell.follow(current)
    }

    /// Whether another process of this node may have written in the epoch, and its last writes are lost here and not
    /// elsewhere, on a backup or in a shard that is being filled: the machine may have failed before they were synced.
    /// Others with their numbers must not be taken for them.
    private func mustRenewEpoch(_ record: ShardRecord, firstKnown epoch: Epoch?) -> Bool {
        environment.options.durability == .interval && record.epoch == epoch && record.filling == nil
            && collection.state != .creating
    }

    private func beginEpoch(after record: Stored<ShardRecord>) async {
        do throws(ShardError) {
            if try await renewEpoch(record) {
                logger.info("Begins epoch \(record.value.epoch.next), as writes of the former one may not have been synced")
            }
            _ = try await environment.freshState()
        } catch {
            logger.warning("The epoch cannot be renewed yet: \(error)")
            try? await Task.sleep(for: Self.retryDelay)
        }
        state.withLock { $0.isRenewingEpoch = false }
    }

    /// Brackets each change that the primary's shell makes.
    private var fence: PrimaryShell.Fence {
        PrimaryShell.Fence(
            begin: { [weak self] epoch in
                guard let self else { return .notPrimary }
                return self.state.withLock { $0.fence.begin(in: epoch) }
            },
            end: { [weak self] epoch in self?.state.withLock { $0.fence.end(in: epoch) } })
    }
}

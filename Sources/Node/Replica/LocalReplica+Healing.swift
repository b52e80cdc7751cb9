import Cluster
import DataModel
import Logging
import Shard
import Synchronization

extension LocalReplica {
    /// Takes the replica out of service when its shard has met data that is not what was written. The node goes on with
    /// its others.
    func quarantineIfDamaged() {
        let taken: (shard: Shard, shell: PrimaryShell?, reason: String)? = state.withLock { state in
            guard case .open(let shard) = state.phase, let reason = shard.knownDamage else { return nil }
            defer { state.shell = nil }
            state.phase = .damaged(reason: reason)
            return (shard, state.shell, reason)
        }
        guard let taken else { return }
        taken.shell?.end()
        logger.error("The replica is quarantined: \(taken.reason)")
        Task {
            await taken.shard.close()
            follow(environment.cache.current)
        }
    }

    /// Treats the replica as a damaged one because an operator says so.
    ///
    /// - Throws: `invalid` when no other replica could fill it.
    func beginRepair() async throws(ShardError) {
        let current = try await environment.freshState()
        guard let record = current.shard(id)?.value, record.replica(on: node) != nil else { throw .notHosted(id) }
        guard record.inSync.contains(where: { $0 != node && current.isLive($0) }) else {
            throw .invalid(
                reason: "no other replica of the shard is in sync and alive: bring one back first, or recover the "
                    + "collection from a snapshot")
        }
        let (shard, shell): (Shard?, PrimaryShell?) = try state.withLock { (state) throws(ShardError) in
            var open: Shard?
            switch state.phase {
            case .open(let shard): open = shard
            case .damaged, .failed: break
            case .opening, .awaitingFiles: throw .notServing(reason: "the replica is opening; try again")
            case .closed: throw .notServing(reason: "the replica is closed")
            }
            defer { state.shell = nil }
            if case .damaged = state.phase {} else { state.isRepairAsked = true }
            state.phase = .damaged(reason: "an operator asked for its repair")
            return (open, state.shell)
        }
        shell?.end()
        logger.notice("The replica is filled anew, as an operator asked")
        await shard?.close()
        follow(environment.cache.current)
    }

    /// A damaged replica leaves the in-sync set when another one can stand in, puts its files aside, and catches up from
    /// nothing like a new one. The last in-sync replica stays as it is, for an operator to look at.
    func healIfNeeded(_ record: Stored<ShardRecord>) {
        removeDamagedFiles(record.value)
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
                guard try await tellThatAllIsGone(stored) else { return }
                try await waitUntilReleased()
                // Not what a snapshot has put there meanwhile, nor after the end.
                let isToGo = state.withLock { state in
                    guard case .damaged = state.phase else { return false }
                    state.isRepairAsked = false
                    return true
                }
                guard isToGo else { return }
                try await Blocking.run { [environment, id] () throws(ShardError) in
                    do throws(FileError) {
                        try environment.folder.setReplicaAside(id)
                    } catch {
                        throw ShardError(error)
                    }
                }
                logger.warning("The damaged files are put aside; the replica catches up from its primary")
                state.withLock { $0.phase = .opening }
                await open()
            }
        } catch {
            logger.warning("The replica cannot be healed yet: \(error)")
        }
    }

    private func leaveInSyncSet(_ stored: Stored<ShardRecord>) async throws(ShardError) {
        let live = environment.cache.current.liveNodes
        guard let changed = ReplicaHosting.leavingInSyncSet(stored.value, on: node, live: live) else {
            return try await withdrawRepair(stored)
        }
        if try await replace(stored, by: changed) {
            logger.warning("Left the in-sync set, because the data is damaged or gone")
        }
    }

    /// Opens the files again when only an operator's word spoke against them: the others that could have filled the replica
    /// are gone since, and it may be the only one. In a new epoch where it is the primary: the former one may have promised
    /// that nothing is written any more (`PrimarySession.holdWrites`).
    private func withdrawRepair(_ stored: Stored<ShardRecord>) async throws(ShardError) {
        guard state.withLock({ $0.isRepairAsked }) else { return }
        try await waitUntilReleased()
        if stored.value.primary == node {
            guard try await renewEpoch(stored) else { return }
        }
        let isWithdrawn = state.withLock { state in
            guard case .damaged = state.phase, state.isRepairAsked else { return false }
            state.phase = .opening
            return true
        }
        guard isWithdrawn else { return }
        logger.notice("The repair is withdrawn: no other replica of the shard is in sync and alive any more")
        await open()
    }

    /// Raises the epoch, as the primary may be about to take the replica in for what it had; once, however often it is
    /// tried to put the data aside, since it tells nothing meanwhile. False when the record is another one by now.
    private func tellThatAllIsGone(_ stored: Stored<ShardRecord>) async throws(ShardError) -> Bool {
        if state.withLock({ $0.hasToldThatAllIsGone }) { return true }
        guard try await renewEpoch(stored) else { return false }
        state.withLock { $0.hasToldThatAllIsGone = true }
        return true
    }

    /// False when the record is another one by now.
    func renewEpoch(_ stored: Stored<ShardRecord>) async throws(ShardError) -> Bool {
        try await replace(stored, by: stored.value.renewed)
    }

    private func replace(_ stored: Stored<ShardRecord>, by record: ShardRecord) async throws(ShardError) -> Bool {
        do {
            let outcome = try await environment.cache.store.compareAndSwap(
                ControlKey.shard(id), expected: stored.revision, value: record.encoded)
            if case .committed = outcome { return true } else { return false }
        } catch {
            throw .notServing(reason: error.description)
        }
    }

    // MARK: - Files that were put aside

    /// To be called when the shard was opened.
    func noteDamagedFiles() {
        let found = Files.exists(environment.folder.damagedReplica(id))
        state.withLock { $0.hasDamagedFiles = found }
    }

    /// Once the replica is in sync again nobody needs them.
    private func removeDamagedFiles(_ record: ShardRecord) {
        guard record.isInSync(node) else { return }
        let removes = state.withLock { state in
            guard case .open = state.phase, state.hasDamagedFiles else { return false }
            state.hasDamagedFiles = false
            return true
        }
        guard removes else { return }
        Task {
            await Blocking.run { [environment, id, logger] () -> Void in
                do throws(FileError) {
                    try Files.remove(environment.folder.damagedReplica(id))
                    logger.info("The replica is healed; its damaged files are removed")
                } catch {
                    logger.warning("The damaged files are left over: \(error)")
                }
            }
        }
    }
}

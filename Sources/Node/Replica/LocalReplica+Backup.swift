import Cluster
import DataModel
import Logging
import Shard
import Synchronization

extension LocalReplica: ReplicaService {
    func openReplica(context: RequestContext) async throws(ShardError) -> BackupState {
        try await admit(context)
        try await raiseFence(context)
        let failure: ShardError? = state.withLock { if case .failed(let error, _) = $0.phase { error } else { nil } }
        if let failure { await noteLackOfRoom(failure) }
        return try backupState()
    }

    func replicate(
        _ records: [LogRecord], after previous: LogPosition, context: RequestContext
    ) async throws(ShardError) -> BackupState {
        try await admit(context)
        if let refusal = state.withLock({ $0.fence.begin(in: context.epoch) }) { throw refusal }
        defer { state.withLock { $0.fence.end(in: context.epoch) } }
        let shard = try shard()
        switch BackupRole.append(records, after: previous, at: shard.position) {
        case .apply(let known):
            do throws(ShardError) {
                try await shard.apply(Array(records.dropFirst(known)))
            } catch {
                await noteLackOfRoom(error)
                throw error
            }
            followLinksIfBehind(shard)
        case .refuse(let error): throw error
        }
        return try backupState()
    }

    func digest(
        of ranges: [VirtualShardRange], context: RequestContext
    ) async throws(ShardError) -> ReplicaDigest {
        try await admit(context)
        return try await shard().digest(of: ranges)
    }

    func beginSnapshot(_ offer: SnapshotOffer, context: RequestContext) async throws(ShardError) {
        try await admitReplacement(context)
        let receiver = SnapshotReceiver(offer, into: SnapshotInstall(folder: folder))
        let former = try state.withLock { state throws(ShardError) in
            // Not while the files of a former transfer are put in place, which are in the same folder.
            if let refusal = state.fence.begin(in: context.epoch) { throw refusal }
            state.fence.end(in: context.epoch)
            let former = state.receiver
            state.receiver = receiver
            return former
        }
        await former?.abandon()
        try await attempt(receiver) { () async throws(ShardError) in try await receiver.begin() }
        logger.info("Receiving a snapshot at sequence \(offer.position.sequence)")
    }

    func receiveSnapshot(_ chunk: SnapshotChunk, context: RequestContext) async throws(ShardError) {
        try await admitReplacement(context)
        let receiver = try receiver(of: chunk.transfer)
        try await attempt(receiver) { () async throws(ShardError) in try await receiver.receive(chunk) }
    }

    func finishSnapshot(
        transfer: UInt64, checksums: [String: UInt64], context: RequestContext
    ) async throws(ShardError) -> BackupState {
        try await admitReplacement(context)
        let receiver = try receiver(of: transfer)
        try await attempt(receiver) { () async throws(ShardError) in
            try await receiver.finish(checksums: checksums)
            // From here on nobody is told what the replica has, and nobody else changes it.
            try state.withLock { state throws(ShardError) in
                // Checking took long enough for another transfer to begin, in the same folder.
                guard state.receiver === receiver else { throw Self.noTransfer(transfer) }
                // Putting its data aside, or closed for good.
                if case .closed = state.phase { throw .notServing(reason: "the replica is closed") }
                guard !state.isHealing else { throw .notServing(reason: "the replica is being healed") }
                if let refusal = state.fence.beginReplacement(in: context.epoch) { throw refusal }
            }
        }
        defer { state.withLock { $0.fence.endReplacement() } }
        // And for the map to change.
        try await attempt(receiver) { () async throws(ShardError) in try await admitReplacement(context) }
        state.withLock { $0.receiver = nil }
        try await install()
        return try backupState()
    }

    /// Puts the received files in the place of the present ones.
    private func install() async throws(ShardError) {
        if let shard = takeShard(leaving: .opening) { await shard.close() }
        do throws(ShardError) {
            try await waitUntilReleased()
            try await Blocking.run { [folder] () throws(ShardError) in
                do throws(FileError) {
                    try SnapshotInstall(folder: folder).install()
                } catch {
                    throw ShardError(error)
                }
            }
        } catch {
            // Whatever is there now is opened again; the primary sees by its position what is missing.
            await open()
            throw error
        }
        await open()
    }

    private func backupState() throws(ShardError) -> BackupState {
        let shard = try shard()
        return BackupState(position: shard.position, unindexedRows: UInt64(shard.unindexedRows))
    }

    private func receiver(of transfer: UInt64) throws(ShardError) -> SnapshotReceiver {
        guard let receiver = state.withLock({ $0.receiver }), receiver.offer.transfer == transfer else {
            throw Self.noTransfer(transfer)
        }
        return receiver
    }

    private static func noTransfer(_ transfer: UInt64) -> ShardError {
        .invalid(reason: "no snapshot transfer \(String(transfer, radix: 16)) is under way")
    }

    /// Takes a transfer one step on. One that fails is over, and gives back the room that it took.
    private func attempt(
        _ receiver: SnapshotReceiver, _ step: () async throws(ShardError) -> Void
    ) async throws(ShardError) {
        do throws(ShardError) {
            try await step()
        } catch {
            await receiver.abandon()
            state.withLock { if $0.receiver === receiver { $0.receiver = nil } }
            await noteLackOfRoom(error)
            throw error
        }
    }

    private func noteLackOfRoom(_ failure: ShardError) async {
        await environment.cache.noteLackOfRoom(failure, on: node, for: id, copiedTo: node)
    }

    // MARK: - Who may change the replica

    /// - Throws: `staleEpoch`, `notHosted`, or `notServing` when the message is not from this replica's primary.
    private func admit(_ context: RequestContext) async throws(ShardError) {
        if try isAdmitted(context, by: environment.cache.current, isFresh: false) { return }
        _ = try isAdmitted(context, by: try await environment.freshState(), isFresh: true)
    }

    /// False, when only a fresh state can tell.
    private func isAdmitted(
        _ context: RequestContext, by current: ClusterState, isFresh: Bool
    ) throws(ShardError) -> Bool {
        switch BackupRole.admit(epoch: context.epoch, to: id, on: node, in: current, isFresh: isFresh) {
        case .accept: true
        case .refuse(let error): throw error
        case .refreshFirst: false
        }
    }

    private func admitReplacement(_ context: RequestContext) async throws(ShardError) {
        let current = try await environment.freshState()
        if current.collection(id.collection)?.value.recovery != nil { return try admitRecovery(current) }
        try await admit(context)
        if let refusal = BackupRole.refusalOfReplacement(of: id, on: node, in: current) { throw refusal }
    }

    /// Waits for the changes of former primaries that are under way to end.
    private func raiseFence(_ context: RequestContext) async throws(ShardError) {
        while true {
            switch state.withLock({ $0.fence.raise(to: context.epoch) }) {
            case .open: return
            case .refuse(let error): throw error
            case .wait:
                guard !context.deadline.isPast, (try? await Task.sleep(for: Self.fencePoll)) != nil else {
                    throw .notServing(reason: "a write of a former primary is under way")
                }
            }
        }
    }
}

import Cluster
import DataModel
import Logging
import Shard
import Synchronization

extension LocalReplica: ReplicaService {
    func openReplica(context: RequestContext) async throws(ShardError) -> BackupState {
        try await admit(context)
        try await raiseFence(context)
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
        case .apply(let known): try await shard.apply(Array(records.dropFirst(known)))
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
        let former = state.withLock { state in
            let former = state.receiver
            state.receiver = receiver
            return former
        }
        await former?.abandon()
        try await receiver.begin()
        logger.info("Receiving a snapshot at sequence \(offer.position.sequence)")
    }

    func receiveSnapshot(_ chunk: SnapshotChunk, context: RequestContext) async throws(ShardError) {
        try await admitReplacement(context)
        try await receiver(of: chunk.transfer).receive(chunk)
    }

    func finishSnapshot(
        transfer: UInt64, checksums: [String: UInt64], context: RequestContext
    ) async throws(ShardError) -> BackupState {
        try await admitReplacement(context)
        let receiver = try receiver(of: transfer)
        try await receiver.finish(checksums: checksums)
        // From here on nobody is told what the replica has, and nobody else changes it.
        if let refusal = state.withLock({ $0.fence.beginReplacement(in: context.epoch) }) { throw refusal }
        defer { state.withLock { $0.fence.endReplacement() } }
        // Checking the files took long enough for the map to change.
        try await admitReplacement(context)
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
            throw .invalid(reason: "no snapshot transfer \(String(transfer, radix: 16)) is under way")
        }
        return receiver
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

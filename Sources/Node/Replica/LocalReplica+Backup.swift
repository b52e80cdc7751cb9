import Cluster
import DataModel
import Logging
import Shard
import Synchronization

extension LocalReplica: ReplicaService {
    func openReplica(context: RequestContext) async throws(ShardError) -> BackupState {
        try await admit(context)
        return try backupState()
    }

    func replicate(
        _ records: [LogRecord], after previous: LogPosition, context: RequestContext
    ) async throws(ShardError) -> BackupState {
        try await admit(context)
        let shard = try shard()
        switch BackupRole.append(records, after: previous, at: shard.position) {
        case .apply(let known): try await shard.apply(Array(records.dropFirst(known)))
        case .refuse(let error): throw error
        }
        return try backupState()
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
        if let record = environment.cache.current.shard(id)?.value, record.replica(on: node) != nil {
            switch BackupRole.admit(epoch: context.epoch, record: record, node: node) {
            case .accept: return
            case .refuse(let error): throw error
            case .refreshFirst: break
            }
        }
        guard let record = try await environment.freshState().shard(id)?.value else { throw .notHosted(id) }
        switch BackupRole.admit(epoch: context.epoch, record: record, node: node) {
        case .accept: return
        case .refuse(let error): throw error
        case .refreshFirst: throw .notServing(reason: "epoch \(context.epoch) is not known yet")
        }
    }

    /// Only a replica that catches up may be replaced: an in-sync one may be the last with some acknowledged write.
    private func admitReplacement(_ context: RequestContext) async throws(ShardError) {
        let current = try await environment.freshState()
        if current.collection(id.collection)?.value.recovery != nil { return try admitRecovery(current) }
        try await admit(context)
        guard current.shard(id)?.value.isInSync(node) == false else {
            throw .invalid(reason: "the replica is in sync, and is not replaced")
        }
    }
}

package import DataModel
internal import LMDB
internal import Logging
internal import Synchronization

extension Shard {
    /// How long the background work waits after a failure, such as a full disk.
    private static var payloadIndexRetryDelay: Duration { .seconds(1) }

    /// Makes the payload indexes those of the list: others are dropped, missing ones are built in the background.
    ///
    /// Durable when it returns. Queries use an index from when it is complete; `payloadIndexes` tells how far it is.
    /// - Throws: `outOfSpace`, `storage`, or `notServing` when the shard is closed.
    package func setPayloadIndexes(_ wanted: [PayloadIndexConfig]) async throws(ShardError) {
        let result: Result<Void, ShardError> = await withCheckedContinuation { continuation in
            writer.async {
                continuation.resume(
                    returning: Result { () throws(ShardError) in
                        try storing { try self.reconcilePayloadIndexes(wanted) }
                    })
            }
        }
        try result.get()
        continuePayloadIndexes()
    }

    private func reconcilePayloadIndexes(_ wanted: [PayloadIndexConfig]) throws {
        guard !isClosed.load(ordering: .acquiring) else { throw ShardError.notServing(reason: "the shard is closed") }
        let generation = generation
        let (store, slotCount) = (generation.store, generation.view.slotCount)
        var catalog = try store.environment.read { try store.loadPayloadIndexes($0) }
        // Nearly always there is nothing to do, and nothing to wait for the disk for.
        guard catalog.reconcile(with: wanted, slotCount: slotCount) else { return }
        try store.environment.write { try store.save(catalog, $0) }
    }

    /// Does the work that the indexes have left on the writer's queue, step by step, with commits in between.
    func continuePayloadIndexes() {
        guard !isBuildingPayloadIndexes.exchange(true, ordering: .acquiringAndReleasing) else { return }
        writer.async { self.stepPayloadIndexes() }
    }

    /// On the writer's queue.
    func stepPayloadIndexes(reschedules: Bool = true) {
        guard !isClosed.load(ordering: .acquiring) else { return }
        do {
            let outcome = try PayloadIndexBuild(store: generation.store).step()
            guard reschedules else { return }
            if outcome == .worked {
                writer.async { self.stepPayloadIndexes() }
            } else {
                isBuildingPayloadIndexes.store(false, ordering: .releasing)
            }
        } catch {
            logger.error("a payload index is not built", metadata: ["shard": "\(folder)", "error": "\(error)"])
            guard reschedules else { return }
            runtime.submit(to: writer, after: Self.payloadIndexRetryDelay) { [weak self] in
                self?.stepPayloadIndexes()
            }
        }
    }

    /// Rows that indexes still have to go through; what cannot be read counts as nothing.
    var payloadIndexRowsLeft: UInt64 {
        guard isBuildingPayloadIndexes.load(ordering: .acquiring) else { return 0 }
        let store = generation.store
        let catalog = try? store.environment.read { try store.loadPayloadIndexes($0) }
        return catalog?.entries.reduce(0) { sum, entry in
            guard case .building(let next, let end) = entry.state else { return sum }
            return sum + UInt64(end - min(next, end))
        } ?? 0
    }

    /// The indexes that are wanted, and how far each is.
    package func payloadIndexes() throws(ShardError) -> [PayloadIndexStatus] {
        let (store, slotCount) = (generation.store, generation.view.slotCount)
        return try storing {
            try store.environment.read { transaction in
                try store.loadPayloadIndexes(transaction).entries.filter(\.isMaintained).map { entry in
                    let reader = PostingsReader(store: store, index: entry.number, slotLimit: slotCount)
                    return PayloadIndexStatus(
                        config: entry.config, progress: entry.progress,
                        points: UInt64(try reader.count(.present, transaction)))
                }
            }
        }
    }
}

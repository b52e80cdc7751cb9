package import DataModel
internal import Synchronization
internal import Dispatch
internal import LMDB
internal import Logging
internal import VectorIndex

extension Shard {
    /// Gives the operation the next sequence in `epoch`, commits it durably together with whatever else is waiting, and
    /// returns its record.
    ///
    /// - Throws: `outOfSpace`, `storage`, or `notServing` when the shard is closed; nothing was changed then.
    package func append(_ operation: WriteOperation, epoch: Epoch) async throws(ShardError) -> LogRecord {
        guard let record = try await enqueue(.append(operation, epoch)).first else {
            throw ShardError.storage(reason: "a commit without a record")
        }
        return record
    }

    /// Commits a primary's records durably, in order.
    ///
    /// - Throws: `invalid` when they do not follow `position`; else as `append`.
    package func apply(_ records: [LogRecord]) async throws(ShardError) {
        guard !records.isEmpty else { return }
        _ = try await enqueue(.apply(records))
    }

    private func enqueue(_ request: WriteQueue.Request) async throws(ShardError) -> [LogRecord] {
        let result: Result<[LogRecord], ShardError> = await withCheckedContinuation { continuation in
            let callsWriter: Bool? = queue.withLock { queue in
                queue.isClosed ? nil : queue.add(.init(request: request, continuation: continuation))
            }
            switch callsWriter {
            case nil: continuation.resume(returning: .failure(.notServing(reason: "the shard is closed")))
            case true?: writer.async { self.commitGroups() }
            case false?: break
            }
        }
        return try result.get()
    }

    /// While one group is being synced the next one gathers: under load a sync serves many writes.
    func commitGroups() {
        while let group = queue.withLock({ $0.takeGroup() }) { commit(group) }
    }

    private func commit(_ group: [WriteQueue.Entry]) {
        let (state, epochs, view, retention) = current.withLock { ($0.state, $0.epochs, $0.view, $0.retention) }
        var commit = GroupCommit(
            store: store, schema: schema, vectors: vectors, state: state, epochs: epochs, deleted: view.deleted)
        do {
            let answers = try store.environment.write { transaction in
                let answers = try group.map { try Self.perform($0.request, in: &commit, transaction) }
                try commit.trimLog(needed: retention, options: options, transaction)
                try commit.finish(transaction)
                return answers
            }
            mapFinishedBlocks(commit.finishedBlocks)
            publish(commit)
            if options.durability == .interval { scheduleSync() }
            for (entry, answer) in zip(group, answers) { entry.continuation.resume(returning: answer) }
        } catch {
            let failure = ShardError(storage: error)
            logger.error("a commit failed", metadata: ["shard": "\(folder)", "error": "\(failure)"])
            for entry in group { entry.continuation.resume(returning: .failure(failure)) }
        }
    }

    private func scheduleSync() {
        guard !isSyncScheduled.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let interval = options.syncInterval.components
        let delay = DispatchTimeInterval.milliseconds(
            Int(interval.seconds) * 1_000 + Int(interval.attoseconds / 1_000_000_000_000_000))
        writer.asyncAfter(deadline: .now() + delay) {
            self.isSyncScheduled.store(false, ordering: .releasing)
            self.sync()
        }
    }

    /// Brings committed writes to the disk, where commits do not do that themselves.
    func sync() {
        guard options.durability == .interval else { return }
        do {
            try store.environment.sync()
        } catch {
            logger.error("a sync failed", metadata: ["shard": "\(folder)", "error": "\(error)"])
        }
    }

    /// Lets readers use the stored blocks. A block that cannot be mapped stays in memory: nothing is lost by it.
    private func mapFinishedBlocks(_ blocks: Range<Int>) {
        guard !blocks.isEmpty else { return }
        do {
            try store.environment.read { transaction in
                for rows in vectors { try rows.map(blocks: blocks, from: store.vectors, transaction) }
            }
        } catch {
            logger.warning("vector blocks stay in memory", metadata: ["shard": "\(folder)", "error": "\(error)"])
        }
    }

    /// - Returns: the answer of one write. One that is refused does not spoil the group: nothing was applied for it.
    private static func perform(
        _ request: WriteQueue.Request, in commit: inout GroupCommit, _ transaction: borrowing WriteTransaction
    ) throws -> Result<[LogRecord], ShardError> {
        let records: [LogRecord]
        switch request {
        case .append(let operation, let epoch):
            guard epoch >= commit.state.position.epoch else {
                return .failure(.staleEpoch(current: commit.state.position.epoch))
            }
            let position = LogPosition(sequence: commit.state.position.sequence.next, epoch: epoch)
            records = [LogRecord(position: position, operation: operation)]
        case .apply(let given):
            records = given
        }
        var expected = commit.state.position
        for record in records {
            guard record.position.sequence == expected.sequence.next, record.position.epoch >= expected.epoch else {
                return .failure(.invalid(reason: "record \(record.position) does not follow \(expected)"))
            }
            expected = record.position
        }
        for record in records { try commit.apply(record, transaction) }
        return .success(records)
    }

    private func publish(_ commit: GroupCommit) {
        // What readers of the present view may hold goes with it.
        let garbage: [any Sendable] = vectors.compactMap { $0.column.takeRetired() }
        current.withLock { current in
            let next = ReadView(state: commit.state, deleted: commit.deletedSets, indexPin: current.view.indexPin)
            current.view.supersede(by: next, garbage: garbage)
            current.view = next
            current.state = commit.state
            current.epochs = commit.epochs
        }
        runtime.indexing.submit(self)
    }
}

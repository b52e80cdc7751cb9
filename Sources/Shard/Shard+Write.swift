package import DataModel
internal import Synchronization
internal import LMDB
internal import Logging

/// What became of a write, and the state that this rests on.
package struct WriteOutcome: Sendable, Equatable {
    /// The write's sequence, also when it was given long before; or why nothing was done: `versionConflict`,
    /// `requestNameReused`.
    package var result: Result<SequenceNumber, ShardError>
    /// The last write that is in that state, and durable here.
    package var position: LogPosition

    package init(_ result: Result<SequenceNumber, ShardError>, at position: LogPosition) {
        self.result = result
        self.position = position
    }
}

extension Shard {
    /// Gives the write the next sequence in `epoch`, and commits it durably together with whatever else is waiting;
    /// unless a condition does not hold, or it was done before under its name.
    ///
    /// - Throws: `outOfSpace`, `storage`, or `notServing` when the shard is closed, `deadlineExceeded` when a filter could
    ///   not be evaluated until the deadline; nothing was changed then, and nothing is known of names and conditions.
    package func write(
        _ request: WriteRequest, epoch: Epoch, deadline: Deadline
    ) async throws(ShardError) -> WriteOutcome {
        let matching = try await rows(matchedBy: request.operation, deadline: deadline)
        return try await enqueue(.append(request, epoch, matching)).outcome
    }

    /// The same for a write without name and conditions. Returns its record; the last one where it became several.
    package func append(
        _ operation: WriteOperation, epoch: Epoch, deadline: Deadline = .after(.seconds(3_600))
    ) async throws(ShardError) -> LogRecord {
        let matching = try await rows(matchedBy: operation, deadline: deadline)
        guard let record = try await enqueue(.append(WriteRequest(operation), epoch, matching)).records.last else {
            throw ShardError.storage(reason: "a commit without a record")
        }
        return record
    }

    /// Most of the work of a delete by filter is done before its turn comes, where other writers do not wait for it.
    private func rows(
        matchedBy operation: WriteOperation, deadline: Deadline
    ) async throws(ShardError) -> MatchingRows? {
        guard case .deleteMatching(let filter) = operation else { return nil }
        return try await onSearchThread(deadline) { try MatchingRows(filter, in: self.generation) }
    }

    /// Commits a primary's records durably, in order.
    ///
    /// - Throws: `invalid` when they do not follow `position`; else as `append`.
    package func apply(_ records: [LogRecord]) async throws(ShardError) {
        guard !records.isEmpty else { return }
        _ = try await enqueue(.apply(records))
    }

    private func enqueue(_ request: WriteQueue.Request) async throws(ShardError) -> WriteQueue.Answer {
        let result: Result<WriteQueue.Answer, ShardError> = await withCheckedContinuation { continuation in
            let callsWriter: Bool? = queue.withLock { queue in
                queue.isClosed ? nil : queue.add(.init(request: request, continuation: continuation))
            }
            switch callsWriter {
            case nil: continuation.resume(returning: .failure(.notServing(reason: "the shard is closed")))
            case true?: writer.async { self.commitGroups() }
            case false?: break
            }
        }
        if case .failure(let error) = result { noteDamage(error) }
        return try result.get()
    }

    /// Commits the next group, and comes back for the one that gathers meanwhile: under load a sync serves many writes.
    /// What else waits for the writer's queue gets its turn in between.
    private func commitGroups() {
        if commitGroup() { writer.async { self.commitGroups() } }
    }

    /// False, when there is nothing to commit.
    func commitGroup() -> Bool {
        guard let group = queue.withLock({ $0.takeGroup() }) else { return false }
        let (generation, needed) = state.withLock { ($0.generation, $0.neededLog) }
        generation.commit(group, retention: needed)
        if options.durability == .interval { scheduleSync() }
        // However many writes come, an index that is being built goes on.
        if isBuildingPayloadIndexes.load(ordering: .acquiring) { stepPayloadIndexes(reschedules: false) }
        return true
    }

    private func scheduleSync() {
        guard !isSyncScheduled.exchange(true, ordering: .acquiringAndReleasing) else { return }
        runtime.submit(to: writer, after: options.syncInterval) {
            self.isSyncScheduled.store(false, ordering: .releasing)
            self.sync()
        }
    }

    /// Brings committed writes to the disk, where commits do not do that themselves.
    func sync() {
        guard options.durability == .interval else { return }
        do {
            try generation.store.environment.sync()
        } catch {
            logger.error("a sync failed", metadata: ["shard": "\(folder)", "error": "\(error)"])
        }
    }
}

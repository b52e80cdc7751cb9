package import DataModel
internal import Foundation
internal import LMDB
internal import Logging
internal import Synchronization

extension Shard {
    /// Rows that no point has any more: deleted, replaced, or left over when a block was filled up.
    package var deadRows: UInt64 {
        let view = generation.view
        return UInt64(view.slotCount) - min(view.pointCount, UInt64(view.slotCount))
    }

    /// The compaction that is wanted or under way.
    package var compactionProgress: CompactionProgress? { compaction.withLock { $0.progress } }

    /// Rewrites the shard without its dead rows, while reads and writes go on. Joins the compaction that is under way.
    ///
    /// - Throws: `notServing` when the shard is closed before; `outOfSpace`, `corrupted` or `storage` when it failed: the
    ///   shard then is as it was.
    package func compact() async throws(ShardError) {
        let outcome: CompactionState.Outcome = await withCheckedContinuation { continuation in
            guard !isClosed.load(ordering: .acquiring), !isFilling else {
                return continuation.resume(returning: .failure(Self.closedError))
            }
            startCompaction(waiter: continuation)
        }
        try outcome.get()
    }

    /// Wants a compaction, and does not wait for it.
    package func beginCompaction() {
        if !isFilling { startCompaction(waiter: nil) }
    }

    private static var closedError: ShardError { .notServing(reason: "the shard is closed") }

    /// Begins a compaction when enough rows are dead.
    func compactIfDue() {
        let view = generation.view
        let dead = deadRows
        guard dead >= UInt64(options.compaction.minimumDeadRows),
            Double(dead) >= options.compaction.deadFraction * Double(view.slotCount),
            !isClosed.load(ordering: .acquiring), !isFilling, compaction.withLock({ $0.notBefore <= .now })
        else { return }
        startCompaction(waiter: nil)
    }

    private func startCompaction(waiter: CheckedContinuation<CompactionState.Outcome, Never>?) {
        let begins = compaction.withLock { state in
            if let waiter { state.waiters.append(waiter) }
            guard state.progress == nil else { return false }
            state.progress = CompactionProgress(phase: .waiting, done: 0, total: 0)
            return true
        }
        guard begins else { return }
        runtime.compaction.submit { [weak self] in self?.runCompaction() }
    }

    /// When the shard is closed: tells those who wait, and waits for the compaction that runs to notice.
    func endCompaction() async {
        let runs = compaction.withLock { $0.progress.map { $0.phase != .waiting } ?? false }
        guard runs else { return finishCompaction(.failure(Self.closedError)) }
        _ = await withCheckedContinuation { continuation in
            let isOver = compaction.withLock { state in
                guard state.progress != nil else { return true }
                state.waiters.append(continuation)
                return false
            }
            if isOver { continuation.resume(returning: .success(())) }
        }
    }

    private func finishCompaction(_ outcome: CompactionState.Outcome) {
        let waiters = compaction.withLock { state in
            state.progress = nil
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: outcome) }
    }

    // MARK: - On the compaction thread

    private func runCompaction() {
        let begins = compaction.withLock { state in
            guard state.progress != nil, !isClosed.load(ordering: .acquiring) else { return false }
            state.progress?.phase = .copying
            return true
        }
        guard begins else { return finishCompaction(.failure(Self.closedError)) }
        let start = ContinuousClock.now
        do {
            var former: ShardGeneration? = try compactNow()
            compaction.withLock { state in
                state.completed += 1
                state.lastDuration = .now - start
            }
            let dead = deadRows
            logger.info("compacted", metadata: ["shard": "\(folder)", "deadRows": "\(dead)", "took": "\(.now - start)"])
            finishCompaction(.success(()))
            release(&former)
        } catch is CompactionCancelled {
            finishCompaction(.failure(Self.closedError))
        } catch {
            let failure = ShardError(storage: error)
            noteDamage(failure)
            logger.error("a compaction failed", metadata: ["shard": "\(folder)", "error": "\(failure)"])
            compaction.withLock { state in
                state.failed += 1
                state.notBefore = .now + CompactionState.retryDelay
            }
            finishCompaction(.failure(failure))
        }
        state.withLock { $0.compacted = nil }
    }

    /// - Returns: the generation that was replaced.
    private func compactNow() throws -> ShardGeneration {
        let source = generation
        let compaction = try Compaction(
            of: source, isWanted: { !self.isClosed.load(ordering: .acquiring) },
            progress: { progress in self.compaction.withLock { $0.progress = progress } })
        do {
            try copyRows(compaction)
            try compaction.follow { sequence in state.withLock { $0.compacted = sequence } }
            compaction.target.checkpointAll()
            try compaction.report(.swapping, 0, of: 0)
            try writer.sync { try self.swap(compaction) }
        } catch {
            compaction.abandon()
            throw error
        }
        return source
    }

    /// Pins the source's state no longer than it takes to copy it: pages that are freed meanwhile cannot be used again.
    private func copyRows(_ compaction: Compaction) throws {
        let source = compaction.source
        // Between two commits, so that the unfinished rows are those of the pinned state.
        let (pinned, tail) = try writer.sync {
            state.withLock { $0.compacted = source.position.sequence }
            return (try PinnedRead(source.store.environment), UnfinishedRows(of: source))
        }
        try compaction.takePayloadIndexes()
        try compaction.copy(pinned, tail: tail)
    }

    /// Applies the last writes and makes the new generation the current one. On the writer's queue.
    private func swap(_ compaction: Compaction) throws {
        guard !isClosed.load(ordering: .acquiring) else { throw CompactionCancelled() }
        while try compaction.applyLog() > 0 {}
        guard compaction.target.position == compaction.source.position else {
            throw ShardError.storage(reason: "the compaction ended at \(compaction.target.position)")
        }
        try compaction.takePayloadIndexes()
        for (own, former) in zip(compaction.target.recall, compaction.source.recall) { own.take(over: former) }
        try compaction.complete()
        compaction.target.requests.take(over: compaction.source.requests)
        state.withLock { state in
            state.generation = compaction.target
            state.compacted = nil
        }
        compaction.source.isClosed.store(true, ordering: .releasing)
        // Writers that wait for room in the old one have it in the new one, or wait there.
        compaction.source.room.update(unindexedRows: 0)
        runtime.indexing.submit(compaction.target)
        continuePayloadIndexes()
    }

    /// Removes the files of the replaced generation, and lets go of it when the last search that began on it is done: then
    /// it is this thread that unmaps them, which takes long, and not a search's.
    private func release(_ former: inout ShardGeneration?) {
        do {
            try former?.files.remove()
        } catch {
            logger.warning("a replaced generation is left over", metadata: ["shard": "\(folder)", "error": "\(error)"])
        }
        let deadline = ContinuousClock.now + Self.releasePatience
        while !isKnownUniquelyReferenced(&former), ContinuousClock.now < deadline {
            Thread.sleep(forTimeInterval: 0.01)
        }
        former = nil
    }

    private static var releasePatience: Duration { .seconds(10) }
}

/// The threads that put rows into graphs, behind searches and writers: an acknowledged row is found by a scan until the
/// graph has it.
///
/// While points are loaded and nobody searches, only the time that the processors have left goes into graphs: more would
/// hold up the writes. Else rows are the work of threads that get a share, see `isIndexingPressing`.
final class IndexingPool: Sendable {
    /// Threads of low priority; also for checkpoints and other work behind searches.
    let pool: WorkerPool
    private let idlePool: WorkerPool?

    /// - Parameter idleThreads: with none, all rows are indexed on the threads of low priority.
    init(threads: Int, idleThreads: Int) {
        pool = WorkerPool(name: "indexing", threads: threads, priority: .low)
        idlePool = idleThreads > 0 ? WorkerPool(name: "idle-indexing", threads: idleThreads, priority: .idle) : nil
    }

    /// Gives a shard threads until it has no more rows to claim. It stands in each queue once at most; a thread that takes
    /// a batch puts it back first, so that all threads may work on one shard.
    func submit(_ shard: ShardGeneration) {
        if let idlePool, !shard.isIndexingPressing {
            submit(shard, to: idlePool, shard.isQueuedForIdleIndexing)
        } else {
            submit(shard, to: pool, shard.isQueuedForIndexing)
        }
    }

    private func submit(_ shard: ShardGeneration, to pool: WorkerPool, _ isQueued: Flag) {
        guard isQueued.raise() else { return }
        // One that waits its turn keeps no files open.
        pool.submit { [self, weak shard] in
            guard let shard else { return }
            // Before the look at the rows, for every thread: who adds rows after that look queues the shard again.
            isQueued.lower()
            guard let batch = shard.claimBatch() else { return }
            // Perhaps of other threads by now, and in another lane.
            shard.indexing.submit(shard)
            shard.index(batch, isIdle: pool === idlePool)
        }
    }

    /// Stores the graphs soon, if that is due when it is their turn. Never on an idle thread: indexing waits for it.
    func submitCheckpoint(of shard: ShardGeneration) {
        guard shard.isQueuedForCheckpoint.raise() else { return }
        pool.submit { [weak shard] in
            guard let shard else { return }
            shard.isQueuedForCheckpoint.lower()
            if shard.isCheckpointDue(idle: true) { shard.checkpoint() }
        }
    }

    func stop() {
        pool.stop()
        idlePool?.stop()
    }
}

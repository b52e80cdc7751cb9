internal import Foundation
internal import Synchronization

/// The threads that all shards of a node share.
package final class ShardRuntime: Sendable {
    let search: WorkerPool
    /// Group commits of all shards, each shard's in order.
    let writing: WorkerPool
    let indexing: IndexingPool
    /// One thread: a node compacts one shard at a time, since the graph that each builds keeps all indexing threads busy.
    let compaction: WorkerPool
    /// One thread: shards that splits and merges fill get what the others leave over.
    let filling = IndexingPool(threads: 1, idleThreads: 0)
    /// One thread: verifications in the background are in no hurry.
    let verification: WorkerPool
    private let ticker = DispatchQueue(label: "shoal.shard.ticker")
    private let isStopped = Atomic<Bool>(false)
    private let shards: Mutex<[WeakShard]> = Mutex([])

    private struct WeakShard: @unchecked Sendable {
        // Sendable: read and written under the lock of `shards` only.
        weak var value: Shard?
    }

    /// How often idle shards are asked whether their index is due for a checkpoint.
    private static let tick = DispatchTimeInterval.seconds(1)

    /// Commits wait for the disk most of the time; with more of them at once a disk is not quicker.
    private static let writingThreads = 16

    package init(searchThreads: Int, indexingThreads: Int) {
        search = WorkerPool(name: "search", threads: searchThreads)
        writing = WorkerPool(name: "writing", threads: Self.writingThreads)
        indexing = IndexingPool(threads: indexingThreads, idleThreads: indexingThreads)
        compaction = WorkerPool(name: "compaction", threads: 1, priority: .low)
        verification = WorkerPool(name: "verification", threads: 1, priority: .low)
        scheduleTick()
    }

    /// Runs tasks on the threads that search.
    package var searchExecutor: any TaskExecutor { search }

    /// Ends the threads when the jobs at hand are done. Shards must be closed first.
    package func shutdown() {
        isStopped.store(true, ordering: .releasing)
        search.stop()
        writing.stop()
        indexing.stop()
        filling.stop()
        compaction.stop()
        verification.stop()
    }

    func register(_ shard: Shard) {
        shards.withLock { shards in
            shards.removeAll { $0.value == nil }
            shards.append(WeakShard(value: shard))
        }
    }

    /// Does the job on the queue after some time.
    func submit(to queue: SerialQueue, after delay: Duration, _ job: @escaping @Sendable () -> Void) {
        let parts = delay.components
        let milliseconds = Int(parts.seconds) * 1_000 + Int(parts.attoseconds / 1_000_000_000_000_000)
        ticker.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { queue.async(job) }
    }

    private func scheduleTick() {
        ticker.asyncAfter(deadline: .now() + Self.tick) { [weak self] in
            guard let self, !isStopped.load(ordering: .acquiring) else { return }
            tickShards()
            scheduleTick()
        }
    }

    /// Gives each shard the chance to begin what is due: every second, or when a test asks.
    package func tickShards() {
        for shard in shards.withLock({ $0.compactMap(\.value) }) {
            let generation = shard.generation
            // What idle threads began on a busy machine.
            if generation.unindexedRows > 0, generation.isIndexingPressing { generation.indexing.submit(generation) }
            if generation.isCheckpointDue(idle: true) { generation.indexing.submitCheckpoint(of: generation) }
            shard.compactIfDue()
            shard.verifyIfDue()
        }
    }
}

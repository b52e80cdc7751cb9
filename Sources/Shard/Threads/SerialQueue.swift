internal import Dispatch
internal import Synchronization

/// Jobs that run one after the other, in the order in which they came, on the threads of a pool.
///
/// A node has a queue for each replica and a few threads for all of them: a replica that nobody writes to costs none. A
/// queue of Dispatch's would have a thread of its own whenever a job blocks, as commits do.
final class SerialQueue: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        /// Whether a thread of the pool is at work on the queue, or is called.
        var isActive = false
    }

    /// Jobs that run before another queue gets its turn on the thread.
    private static let jobsPerTurn = 8

    private let pool: WorkerPool
    private let state = Mutex(State())

    init(_ pool: WorkerPool) { self.pool = pool }

    func async(_ job: @escaping @Sendable () -> Void) {
        let calls = state.withLock { state in
            state.jobs.append(job)
            defer { state.isActive = true }
            return !state.isActive
        }
        if calls { callThread() }
    }

    /// Runs `body` on the calling thread, as if it were a job of the queue.
    func sync<Value>(_ body: () throws -> Value) rethrows -> Value {
        let (begins, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        async {
            begins.signal()
            ended.wait()
        }
        begins.wait()
        defer { ended.signal() }
        return try body()
    }

    private func callThread() {
        if pool.submit({ self.runJobs() }) { return }
        // The pool is stopped, and who closes a shard after that still waits for the queue.
        DispatchQueue.global().async { self.runJobs() }
    }

    private func runJobs() {
        for _ in 0..<Self.jobsPerTurn {
            guard let job = nextJob() else { return }
            job()
        }
        callThread()
    }

    private func nextJob() -> (@Sendable () -> Void)? {
        state.withLock { state in
            guard !state.jobs.isEmpty else {
                state.isActive = false
                return nil
            }
            return state.jobs.removeFirst()
        }
    }
}

internal import Dispatch
internal import Foundation
internal import Glibc
internal import Synchronization

/// A fixed number of threads that run jobs in the order in which they came.
///
/// Searches run here and not on event loops or Swift's cooperative threads: a page fault may block them, and more of them
/// at once than there are cores only makes each slower.
///
/// Also an executor of tasks: one that prefers the pool does its searches without changing threads.
final class WorkerPool: TaskExecutor, @unchecked Sendable {
    // Sendable: `membership` is written by init before it starts the threads.
    private struct Queue {
        /// Nil where a thread has taken it.
        var jobs: [(@Sendable () -> Void)?] = []
        var first = 0
        var isStopped = false
    }

    private let queue = Mutex(Queue())
    /// One signal for each job, then one for each thread to end it.
    ///
    /// A semaphore and no condition variable: those of glibc before 2.41 are said to lose a signal at times (bug 25847),
    /// and a job that is submitted once would then wait for the next one, for ever if that is behind it.
    private let signals = DispatchSemaphore(value: 0)
    private let threads: Int
    /// Set, to anything but nil, in the pool's threads.
    private var membership = pthread_key_t()

    enum Priority {
        case normal
        /// A tenth of what others get, while they are at work.
        case low
        /// What others leave over, and next to nothing while they are at work.
        case idle
    }

    init(name: String, threads: Int, priority: Priority = .normal) {
        self.threads = threads
        pthread_key_create(&membership, nil)
        for number in 0..<threads {
            let thread = Thread { [self] in
                pthread_setspecific(membership, Unmanaged.passUnretained(self).toOpaque())
                lower(to: priority)
                runJobs()
            }
            thread.name = "\(name)-\(number)"
            thread.stackSize = 1 << 20
            thread.start()
        }
    }

    /// Adds a job.
    ///
    /// - Returns: false after `stop`: the job is not run.
    @discardableResult
    func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
        let isAdded = queue.withLock { queue in
            if !queue.isStopped { queue.jobs.append(job) }
            return !queue.isStopped
        }
        if isAdded { signals.signal() }
        return isAdded
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        submit { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Whether the calling thread is one of the pool's.
    private var isCurrent: Bool { pthread_getspecific(membership) != nil }

    /// Runs `body` on a thread of the pool.
    func run<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        if isCurrent { return body() }
        return await withCheckedContinuation { continuation in
            submit { continuation.resume(returning: body()) }
        }
    }

    deinit { pthread_key_delete(membership) }

    /// Lets the threads end when the jobs at hand are done.
    func stop() {
        queue.withLock { $0.isStopped = true }
        for _ in 0..<threads { signals.signal() }
    }

    private func runJobs() {
        while let job = nextJob() { job() }
    }

    /// Nil when the pool is stopped.
    private func nextJob() -> (@Sendable () -> Void)? {
        signals.wait()
        return queue.withLock { queue in
            guard queue.first < queue.jobs.count else { return nil }
            // Not left behind: it may be the last to hold a closed shard, whose files then stay open.
            let job = queue.jobs[queue.first].take()
            queue.first += 1
            if queue.first == queue.jobs.count {
                queue.jobs.removeAll(keepingCapacity: true)
                queue.first = 0
            } else if queue.first > 1_024 {
                queue.jobs.removeFirst(queue.first)
                queue.first = 0
            }
            return job
        }
    }
}

#if os(Linux)
    /// SCHED_IDLE of Linux' <sched.h>, which the module of the C library leaves out.
    private let idlePolicy: Int32 = 5
#endif

/// Makes the kernel prefer other threads to the calling one.
private func lower(to priority: WorkerPool.Priority) {
    #if os(Linux)
        // On Linux a nice value and a policy belong to a thread; 0 is the calling one. Where the policy is not to be had, the
        // nice value remains.
        if priority != .normal { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10) }
        if priority == .idle {
            var parameters = sched_param()
            _ = sched_setscheduler(0, idlePolicy, &parameters)
        }
    #endif
}

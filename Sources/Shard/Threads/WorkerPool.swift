internal import Foundation
internal import Glibc

/// A fixed number of threads that run jobs in the order in which they came.
///
/// Searches run here and not on event loops or Swift's cooperative threads: a page fault may block them, and more of them
/// at once than there are cores only makes each slower.
///
/// Also an executor of tasks: one that prefers the pool does its searches without changing threads.
final class WorkerPool: TaskExecutor, @unchecked Sendable {
    // Sendable: `jobs`, `firstJob` and `isStopped` are read and written under `condition`; `membership` is written by init
    // before it starts the threads.
    private let condition = NSCondition()
    private var jobs: [@Sendable () -> Void] = []
    private var firstJob = 0
    private var isStopped = false
    /// Set, to anything but nil, in the pool's threads.
    private var membership = pthread_key_t()

    /// - Parameter niceness: added to the threads' nice value; positive yields to others.
    init(name: String, threads: Int, niceness: Int32 = 0) {
        pthread_key_create(&membership, nil)
        for number in 0..<threads {
            let thread = Thread { [self] in
                pthread_setspecific(membership, Unmanaged.passUnretained(self).toOpaque())
                if niceness > 0 { lowerPriority(by: niceness) }
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
        condition.lock()
        defer { condition.unlock() }
        guard !isStopped else { return false }
        jobs.append(job)
        condition.signal()
        return true
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
        condition.lock()
        isStopped = true
        condition.broadcast()
        condition.unlock()
    }

    private func runJobs() {
        while let job = nextJob() { job() }
    }

    private func nextJob() -> (@Sendable () -> Void)? {
        condition.lock()
        defer { condition.unlock() }
        while firstJob == jobs.count {
            if isStopped { return nil }
            condition.wait()
        }
        let job = jobs[firstJob]
        firstJob += 1
        if firstJob == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            firstJob = 0
        } else if firstJob > 1_024 {
            jobs.removeFirst(firstJob)
            firstJob = 0
        }
        return job
    }
}

/// Makes the kernel prefer other threads to the calling one.
private func lowerPriority(by niceness: Int32) {
    #if os(Linux)
        // On Linux a nice value belongs to a thread; 0 is the calling one.
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness)
    #endif
}

import Dispatch

/// A thread for what keeps the node's lease: Swift's threads may all be busy with requests for longer than it lasts.
final class LeaseExecutor: TaskExecutor {
    private let queue = DispatchQueue(label: "shoal.lease", qos: .userInitiated)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

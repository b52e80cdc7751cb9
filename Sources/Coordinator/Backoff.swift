import DataModel

/// The pauses between attempts of a request that waits for the cluster to settle.
struct Backoff {
    /// First a short one, because most failures end with the next shard map.
    private var next: Duration = .milliseconds(5)
    private static let longest: Duration = .milliseconds(100)

    /// Sleeps, but not past `deadline`.
    ///
    /// - Returns: false when the deadline has passed or the task was cancelled: give up then.
    mutating func pause(until deadline: Deadline) async -> Bool {
        let remaining = deadline.remaining
        guard remaining > .zero else { return false }
        let pause = min(next, remaining)
        next = min(next * 2, Self.longest)
        do { try await Task.sleep(for: pause) } catch { return false }
        return true
    }
}

/// When a node that exited is started again: at once after a long run, later and later when it keeps failing.
package struct RestartPolicy: Sendable, Equatable {
    /// Quick enough that a crash costs less than a failover.
    package static let firstDelay = Duration.milliseconds(100)
    /// A node that cannot run is tried six times a minute.
    package static let largestDelay = Duration.seconds(10)
    /// After this long a node ran well, and its next failure is a first one again.
    package static let wellAfter = Duration.seconds(30)

    /// Failures in a row.
    package private(set) var failures = 0

    package init() {}

    /// The pause before the next start of a node that exited after running for `uptime`.
    package mutating func delay(afterUptime uptime: Duration) -> Duration {
        if uptime >= Self.wellAfter { failures = 0 }
        failures += 1
        var delay = Self.firstDelay
        for _ in 1..<failures where delay < Self.largestDelay { delay *= 2 }
        return min(delay, Self.largestDelay)
    }
}

/// When a peer that could not be reached is tried again: at once after the first failure, then after a pause that
/// doubles from `RPCLimits.shortestBackOff` to `RPCLimits.longestBackOff`.
package struct BackOff: Sendable {
    /// Failures in a row.
    package private(set) var failures = 0
    private var retryAt: ContinuousClock.Instant?

    package init() {}

    package mutating func failed(now: ContinuousClock.Instant) {
        failures += 1
        guard failures >= 2 else { return }
        // The shift is bounded so that it cannot overflow; the longest pause is reached long before.
        let pause = RPCLimits.shortestBackOff * (1 << min(failures - 2, 10))
        retryAt = now + min(pause, RPCLimits.longestBackOff)
    }

    package mutating func succeeded() { self = BackOff() }

    package func mayTry(now: ContinuousClock.Instant) -> Bool { retryAt.map { $0 <= now } ?? true }
}

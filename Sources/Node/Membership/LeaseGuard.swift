import Synchronization

/// Until when, by this process's own clock, the node surely holds its lease.
///
/// The time counts from before the last successful keep-alive was sent, less a margin: so it ends before the control
/// store's own count does, and whoever takes over cannot overlap with us. `ContinuousClock` is the boot-time clock,
/// which goes on while the machine or the process sleeps.
final class LeaseGuard: Sendable {
    /// The share of the lease that is given away for differences between clocks.
    static let marginShare = 0.1

    private let validUntil = Mutex<ContinuousClock.Instant?>(nil)

    /// To be asked before and after any work whose answer counts on being a live member of the cluster.
    var holds: Bool { validUntil.withLock { until in until.map { $0 > .now } ?? false } }

    /// - Parameter sentAt: before the keep-alive that succeeded was sent.
    func renewed(sentAt: ContinuousClock.Instant, ttl: Duration) {
        validUntil.withLock { $0 = sentAt + ttl * (1 - Self.marginShare) }
    }

    func lost() { validUntil.withLock { $0 = nil } }
}

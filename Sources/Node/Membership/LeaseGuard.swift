import Cluster
import Synchronization

/// Until when the node surely holds its lease, by this process's own clock: `LeaseTerm` under a lock.
///
/// `ContinuousClock` is the boot-time clock, which goes on while the machine or the process sleeps.
final class LeaseGuard: Sendable {
    private let start = ContinuousClock.now
    private let term = Mutex(LeaseTerm())

    /// To be asked before and after any work whose answer counts on being a live member of the cluster.
    var holds: Bool { term.withLock { $0.holds(at: .now - start) } }

    /// - Parameter sentAt: before the keep-alive that succeeded was sent.
    func renewed(sentAt: ContinuousClock.Instant, ttl: Duration) {
        term.withLock { $0.renewed(sentAt: sentAt - start, ttl: ttl) }
    }

    func lost() { term.withLock { $0.lost() } }
}

internal import Synchronization

/// Locks for the link records of all rows: a fixed number, so that rows share them by chance.
final class StripedLocks: @unchecked Sendable {
    // Sendable: the locks are initialised once and then only locked.
    /// Far more than there are inserting threads, so that two rarely meet.
    private static let count = 4_096
    private let locks: UnsafeMutablePointer<Mutex<Void>>

    init() {
        locks = .allocate(capacity: Self.count)
        for index in 0..<Self.count { (locks + index).initialize(to: Mutex(())) }
    }

    deinit {
        locks.deinitialize(count: Self.count)
        locks.deallocate()
    }

    /// Runs `body` under the lock of `slot`'s links. No thread ever holds two, so none wait in a circle.
    @inline(__always)
    func withLock(of slot: Slot, _ body: () -> Void) {
        locks[Int(slot) % Self.count].withLock { _ in body() }
    }
}

internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Hands out slots to inserting threads in order, knows which are finished, and can hold all of them up for a moment.
final class InsertionGate: @unchecked Sendable {
    // Sendable: everything that changes is atomic or guarded by `mutex`.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var isPaused = false
    /// Slots whose insertion runs; no more than there are inserting threads.
    private var inFlight: [Slot] = []

    /// Slots below are claimed: their insertion is finished or runs.
    let claimed = Atomic<UInt32>(0)
    /// Slots below are finished.
    let finished = Atomic<UInt32>(0)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
        inFlight.reserveCapacity(64)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Sets where to go on; before the first insertion.
    func restore(count: UInt32) {
        claimed.store(count, ordering: .releasing)
        finished.store(count, ordering: .releasing)
    }

    /// Claims the next slot, or returns nil when all below `limit` are claimed. Waits while the gate is closed.
    func enter(below limit: UInt32) -> Slot? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while isPaused { pthread_cond_wait(changed, mutex) }
        let slot = claimed.load(ordering: .relaxed)
        guard slot < limit else { return nil }
        inFlight.append(slot)
        // Before any link to the slot, so that a reader who knows of the slot finds its row.
        claimed.store(slot + 1, ordering: .releasing)
        return slot
    }

    func leave(_ slot: Slot) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if let position = inFlight.firstIndex(of: slot) {
            inFlight.swapAt(position, inFlight.count - 1)
            inFlight.removeLast()
        }
        finished.store(inFlight.min() ?? claimed.load(ordering: .relaxed), ordering: .releasing)
        if isPaused && inFlight.isEmpty { pthread_cond_broadcast(changed) }
    }

    /// Runs `body` while no insertion runs.
    func whilePaused<R>(_ body: () throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        while isPaused { pthread_cond_wait(changed, mutex) }
        isPaused = true
        while !inFlight.isEmpty { pthread_cond_wait(changed, mutex) }
        pthread_mutex_unlock(mutex)
        defer {
            pthread_mutex_lock(mutex)
            isPaused = false
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        return try body()
    }
}

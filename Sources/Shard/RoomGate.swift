internal import DataModel
internal import Synchronization

/// Holds writers up while too many rows wait for the graph: every search scans those rows.
final class RoomGate: Sendable {
    private struct State {
        var isOpen = true
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    func update(unindexedRows: Int) {
        let waiters: [CheckedContinuation<Void, Never>] = state.withLock { state in
            state.isOpen = unindexedRows < limit
            guard state.isOpen else { return [] }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when there is room.
    ///
    /// - Throws: `overloaded` when there was none until the deadline.
    func wait(until deadline: Deadline, unindexedRows: () -> Int) async throws(ShardError) {
        update(unindexedRows: unindexedRows())
        guard state.withLock({ !$0.isOpen }) else { return }
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let timeout = Task {
            try? await Task.sleep(until: deadline.instant, clock: .continuous)
            resume(id)
        }
        await withCheckedContinuation { continuation in
            let waits = state.withLock { state in
                // The timeout may have come before there was a waiter to wake.
                guard !state.isOpen, !deadline.isPast else { return false }
                state.waiters[id] = continuation
                return true
            }
            if !waits { continuation.resume() }
        }
        timeout.cancel()
        if deadline.isPast {
            throw ShardError.overloaded(reason: "more than \(limit) rows wait to be indexed")
        }
    }

    private func resume(_ id: UInt64) {
        state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
    }
}

import CoreMetrics
import DataModel
import Metrics
import Synchronization

/// The memory that the requests in flight on this node may take together: their bodies, what is made of them, and the
/// answers of shards that are put together. A request that finds none waits a moment, and is then refused.
package final class MemoryBudget: Sendable {
    package static let standardBytes = 512 << 20
    /// Long enough for those under way to end, short enough that a client which is to try again learns of it.
    package static let patience: Duration = .seconds(2)

    private struct State {
        var ledger: MemoryLedger
        var nextTicket: MemoryLedger.Ticket = 0
        var waiters: [MemoryLedger.Ticket: CheckedContinuation<Bool, Never>] = [:]
    }

    /// In bytes.
    package let capacity: Int
    private let state: Mutex<State>
    private let refusals = Counter(label: "shoal_requests_refused_total", dimensions: [("reason", "memory")])

    package init(bytes: Int = standardBytes) {
        capacity = bytes
        state = Mutex(State(ledger: MemoryLedger(capacity: bytes)))
    }

    /// The bytes that requests have now.
    package var taken: Int { state.withLock { $0.ledger.taken } }

    /// The largest body that can be taken: with what is made of it while it is parsed it fits beside those that wait.
    package var largestBody: Int { capacity / (RequestMemory.parsingFactor + 4) }

    /// The most that the answer of one request may take.
    package var largestAnswer: Int { capacity / 2 }

    func give(_ bytes: Int, arrived: Int) {
        wake { $0.ledger.give(bytes, arrived: arrived) }
    }

    func goOn(_ bytes: Int) {
        wake { $0.ledger.goOn(bytes) }
    }

    /// - Throws: `overloaded` when there is not so much in time.
    func take(_ bytes: Int, for purpose: MemoryLedger.Purpose, deadline: Deadline) async throws(DatabaseError) {
        if bytes == 0 || state.withLock({ $0.ledger.take(bytes, for: purpose) }) { return }
        let ticket = state.withLock { state in
            state.nextTicket += 1
            return state.nextTicket
        }
        let deadline = min(deadline, .after(Self.patience))
        let isTaken = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: CheckedContinuation<Bool, Never>) in
                enqueue(waiter, ticket, bytes, purpose, until: deadline)
                // A cancellation that came before did not find it.
                if Task.isCancelled { giveUp(ticket) }
            }
        } onCancel: {
            giveUp(ticket)
        }
        guard !isTaken else { return }
        refusals.increment()
        throw .overloaded(
            reason: "requests in flight take \(taken) of the \(capacity) bytes that http.maxMemory allows on this node, "
                + "and this one needs \(bytes)")
    }

    private func enqueue(
        _ waiter: CheckedContinuation<Bool, Never>, _ ticket: MemoryLedger.Ticket, _ bytes: Int,
        _ purpose: MemoryLedger.Purpose, until deadline: Deadline
    ) {
        let isTaken = state.withLock { state in
            if state.ledger.take(bytes, for: purpose) { return true }
            state.ledger.wait(ticket, for: bytes, purpose)
            state.waiters[ticket] = waiter
            return false
        }
        if isTaken { return waiter.resume(returning: true) }
        Task.detached { [self] in
            try? await Task.sleep(until: deadline.instant, clock: .continuous)
            giveUp(ticket)
        }
    }

    private func giveUp(_ ticket: MemoryLedger.Ticket) {
        let waiter = state.withLock { state in
            let (wasWaiting, served) = state.ledger.giveUp(ticket)
            let waiters = served.compactMap { state.waiters.removeValue(forKey: $0) }
            return (wasWaiting ? state.waiters.removeValue(forKey: ticket) : nil, waiters)
        }
        waiter.0?.resume(returning: false)
        for served in waiter.1 { served.resume(returning: true) }
    }

    private func wake(_ change: (inout State) -> [MemoryLedger.Ticket]) {
        let waiters = state.withLock { state in change(&state).compactMap { state.waiters.removeValue(forKey: $0) } }
        for waiter in waiters { waiter.resume(returning: true) }
    }
}

import DataModel
import Dispatch
import LMDB
import Logging
import Synchronization

extension LMDBControlStore {
    package func watch(_ prefix: String, after revision: Revision) -> AsyncStream<WatchUpdate> {
        let (stream, continuation) = AsyncStream.makeStream(of: WatchUpdate.self)
        let id: UInt64? = guarded.withLock { guarded in
            if guarded.isClosed { return nil }
            let id = guarded.nextWatcher
            guarded.nextWatcher += 1
            guarded.watchers[id] = Watcher(prefix: prefix, position: revision, continuation: continuation)
            return id
        }
        guard let id else {
            continuation.yield(.failed(.closed))
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            guard let store = self else { return }
            // Elsewhere, because a stream may be finished by someone who holds the lock.
            store.onWritingThread { store.forget(id) }
        }
        poller.wake()
        return stream
    }

    private func forget(_ watcher: UInt64) {
        guarded.withLock { _ = $0.watchers.removeValue(forKey: watcher) }
    }

    func startPolling() {
        poller.start { [weak self] round in self?.poll(round) }
    }

    /// Called on the poller's queue only, so updates of one watcher cannot overtake each other.
    private func poll(_ round: UInt64) {
        deliver()
        if round.isMultiple(of: Poller.leaseRounds), !expiryIsQueued.exchange(true, ordering: .relaxed) {
            onWritingThread { [weak self] in
                self?.expiryIsQueued.store(false, ordering: .relaxed)
                self?.expireLeases()
            }
        }
        if round.isMultiple(of: Poller.readerRounds) {
            do {
                try environment.clearStaleReaders()
            } catch {
                logger.warning("The control store's readers cannot be checked: \(error)")
            }
        }
    }

    private func deliver() {
        let latest = Revision(environment.lastTransactionID)
        let behind = guarded.withLock { $0.watchers.filter { $0.value.position != latest } }
        if behind.isEmpty { return }
        for (id, watcher) in behind {
            let update: WatchUpdate
            do {
                update = try environment.read { [tables] transaction in
                    try tables.changes(prefix: watcher.prefix, after: watcher.position, in: transaction)
                }
            } catch {
                update = .failed(Self.error(error))
            }
            if case .changed(_, let revision) = update {
                if revision == watcher.position { continue }
                guarded.withLock { $0.watchers[id]?.position = revision }
                watcher.continuation.yield(update)
            } else {
                forget(id)
                watcher.continuation.yield(update)
                watcher.continuation.finish()
            }
        }
    }
}

/// Calls back at a steady rate on a queue of its own, and at once when it is woken.
final class Poller: Sendable {
    /// A watch sees another process's change after half of this on average.
    private static let interval = DispatchTimeInterval.milliseconds(10)
    /// Leases are looked at every 50 ms: a few system calls for each.
    static let leaseRounds: UInt64 = 5
    /// Stale readers only keep pages from being reused: every 10 s.
    static let readerRounds: UInt64 = 1_000

    private struct Guarded {
        var timer: (any DispatchSourceTimer)?
        var body: (@Sendable (UInt64) -> Void)?
        var round: UInt64 = 0
    }

    private let queue = DispatchQueue(label: "control-store.poll")
    private let guarded = Mutex(Guarded())

    /// `body` is given the number of the round; when it is woken in between, a number that starts nothing periodic.
    func start(_ body: @escaping @Sendable (UInt64) -> Void) {
        guarded.withLock { guarded in
            let timer = DispatchSource.makeTimerSource(queue: queue)
            timer.schedule(deadline: .now() + Self.interval, repeating: Self.interval, leeway: .milliseconds(1))
            timer.setEventHandler { [weak self] in
                guard let self else { return }
                let round = self.guarded.withLock { guarded in
                    guarded.round += 1
                    return guarded.round
                }
                body(round)
            }
            guarded.timer = timer
            guarded.body = body
            timer.activate()
        }
    }

    func wake() {
        guard let body = guarded.withLock({ $0.body }) else { return }
        queue.async { body(1) }
    }

    func stop() {
        guarded.withLock { guarded in
            guarded.timer?.cancel()
            guarded.timer = nil
            guarded.body = nil
        }
    }
}

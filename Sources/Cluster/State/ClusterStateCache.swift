package import DataModel
package import Logging
import Synchronization

/// The present `ClusterState` of this process, kept current by a watch on the control store.
package final class ClusterStateCache: Sendable {
    private struct Guarded {
        var state = ClusterState()
        var subscribers: [UInt64: AsyncStream<ClusterState>.Continuation] = [:]
        var nextSubscriber: UInt64 = 0
        /// A reading of the whole state that has not begun, and the last one that has.
        var nextReload: Task<Result<Void, ControlStoreError>, Never>?
        var presentReload: Task<Result<Void, ControlStoreError>, Never>?
    }

    package let store: any ControlStore
    private let logger: Logger
    private let guarded = Mutex(Guarded())

    /// How long to wait after the store failed before it is asked again.
    private static let retryDelay = Duration.milliseconds(100)

    package init(store: any ControlStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// The newest state that is known; may lag behind the store by a few milliseconds.
    package var current: ClusterState { guarded.withLock { $0.state } }

    /// Reads the whole state once. Call it before the state is used; `run` then keeps it current.
    package func load() async throws(ControlStoreError) {
        let (entries, revision) = try await store.list("")
        publish(ClusterState(entries: entries, revision: revision))
    }

    /// Follows the store until the task is cancelled or the store is closed. A store that fails is asked again and
    /// again.
    package func run() async {
        while !Task.isCancelled {
            watch: for await update in store.watch("", after: current.revision) {
                switch update {
                case .changed(let events, let revision):
                    publish(events, upTo: revision)
                case .compacted:
                    do {
                        try await load()
                    } catch {
                        logger.warning("The control store's state cannot be read: \(error)")
                    }
                    break watch
                case .failed(.closed): return
                case .failed(let error):
                    logger.warning("The watch on the control store failed: \(error)")
                    break watch
                }
            }
            if Task.isCancelled { return }
            try? await Task.sleep(for: Self.retryDelay)
        }
    }

    /// The state by which clients are answered: the newest, where that is cheap to know; else as the watch brought it.
    package func stateForAnswers() async throws(ControlStoreError) -> ClusterState {
        store.latestRevisionIsCheap ? try await refreshIfStale() : current
    }

    /// The state, made current if the store moved on: it holds everything that was committed before the call.
    @discardableResult
    package func refreshIfStale() async throws(ControlStoreError) -> ClusterState {
        guard store.latestRevisionIsCheap else { return try await reload() }
        let state = current
        if try await store.latestRevision() <= state.revision { return state }
        switch try await store.changes("", after: state.revision) {
        case .changed(let events, let revision): publish(events, upTo: revision)
        case .compacted: try await load()
        case .failed(let error): throw error
        }
        return current
    }

    /// Reads the whole state, once for all who ask before the reading begins.
    private func reload() async throws(ControlStoreError) -> ClusterState {
        let reading = guarded.withLock { guarded in
            if let next = guarded.nextReload { return next }
            let present = guarded.presentReload
            let task = Task<Result<Void, ControlStoreError>, Never> {
                _ = await present?.value
                self.guarded.withLock { guarded in
                    guarded.presentReload = guarded.nextReload
                    guarded.nextReload = nil
                }
                do throws(ControlStoreError) {
                    return .success(try await self.load())
                } catch {
                    return .failure(error)
                }
            }
            guarded.nextReload = task
            return task
        }
        try await reading.value.get()
        return current
    }

    /// Waits until the predicate holds and returns the state for which it does; nil at the deadline or when cancelled.
    package func wait(
        deadline: Deadline, until predicate: @escaping @Sendable (ClusterState) -> Bool
    ) async -> ClusterState? {
        let present = current
        if predicate(present) { return present }
        return await withTaskGroup(of: ClusterState?.self) { group in
            group.addTask {
                for await state in self.updates() where predicate(state) { return state }
                return nil
            }
            group.addTask {
                try? await Task.sleep(until: deadline.instant, clock: .continuous)
                return nil
            }
            let first = await group.next()
            group.cancelAll()
            return first ?? nil
        }
    }

    /// The present state and each later one; states in between may be left out for a slow consumer.
    package func updates() -> AsyncStream<ClusterState> {
        let (stream, continuation) = AsyncStream.makeStream(of: ClusterState.self, bufferingPolicy: .bufferingNewest(1))
        guarded.withLock { guarded in
            let id = guarded.nextSubscriber
            guarded.nextSubscriber += 1
            guarded.subscribers[id] = continuation
            continuation.onTermination = { [weak self] _ in
                // Not under the lock: a continuation may be terminated while a state is published.
                Task { self?.guarded.withLock { _ = $0.subscribers.removeValue(forKey: id) } }
            }
            continuation.yield(guarded.state)
        }
        return stream
    }

    // A watch and a refresh may bring the same news in either order: `apply` skips what the state has, and a state that
    // is older than the present one is dropped.

    private func publish(_ events: [ControlEvent], upTo revision: Revision) {
        guarded.withLock { guarded in
            guard revision > guarded.state.revision else { return }
            guarded.state.apply(events, upTo: revision)
            for subscriber in guarded.subscribers.values { subscriber.yield(guarded.state) }
        }
    }

    private func publish(_ state: ClusterState) {
        guarded.withLock { guarded in
            guard state.revision >= guarded.state.revision else { return }
            guarded.state = state
            for subscriber in guarded.subscribers.values { subscriber.yield(guarded.state) }
        }
    }
}

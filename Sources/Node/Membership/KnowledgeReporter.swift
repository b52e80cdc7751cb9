import Cluster
import DataModel
import Logging

/// Says in the control store up to which revision this node knows the map, after each change of it: primaries and
/// coordinators wait for that. Does nothing where nodes ask the store before each answer.
struct KnowledgeReporter: Sendable {
    private static let retryDelay: Duration = .milliseconds(50)

    let node: NodeID
    let cache: ClusterStateCache
    let keeper: LeaseKeeper
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        if cache.store.latestRevisionIsCheap { return }
        for await _ in cache.updates() {
            while !Task.isCancelled, cache.current.mustBeTold(by: node) {
                // Replicas answer by this state or a later one from here on.
                if await report(cache.current.revision) { break }
                try? await Task.sleep(for: Self.retryDelay)
            }
        }
    }

    private func report(_ revision: Revision) async -> Bool {
        // Without a lease nobody waits for this node.
        guard let lease = keeper.id else { return false }
        do {
            try await cache.store.put(
                ControlKey.known(node), value: KnownRevision(revision).encoded, lease: lease)
            return true
        } catch {
            logger.debug("What this node knows could not be said: \(error)")
            return false
        }
    }
}

package import Cluster
package import DataModel
package import Logging

/// Answers clients' requests on whichever node they reached: finds the shards that a request touches, asks their
/// replicas, and puts the answers together.
///
/// Reads go to any in-sync replica, since each holds every acknowledged write; writes go to the primaries. An answer is
/// whole or it is an error: a shard that cannot be reached makes the request fail, never thinner.
package final class Coordinator: Database {
    /// A read that no replica answers is given up after this, even when its deadline is later: a failover takes a few
    /// hundred milliseconds, so what does not answer in this time will not.
    static let readPatience: Duration = .seconds(5)

    /// The same of a read that leaves out what does not answer, or whose reader wants to know that replicas are missing.
    static let settlingPatience: Duration = .seconds(1)

    /// The others learn of a change in milliseconds, unless they hang.
    private static let spreadPatience: Duration = .seconds(2)

    let node: NodeID
    let cache: ClusterStateCache
    let router: any ShardRouter
    let preference: ReplicaPreference
    /// Where queries run; nil for Swift's own threads.
    let queryExecutor: (any TaskExecutor)?
    let metrics = CoordinatorMetrics()
    let logger: Logger
    private let readiness: @Sendable () -> String?

    /// - Parameters:
    ///   - node: this node.
    ///   - cache: loaded, and kept current by its owner.
    ///   - queryExecutor: where queries run: on the threads that search, one needs no other thread for a shard of this
    ///     node.
    ///   - hedgeShare: how many reads in all may be sent to a second replica when the first is slow: 0...1.
    ///   - readiness: why this node cannot take requests now; nil when it can.
    package init(
        node: NodeID, cache: ClusterStateCache, router: any ShardRouter,
        queryExecutor: (any TaskExecutor)? = nil, hedgeShare: Double = 0.1, logger: Logger,
        readiness: @escaping @Sendable () -> String? = { nil }
    ) {
        self.node = node
        self.cache = cache
        self.router = router
        self.queryExecutor = queryExecutor
        self.logger = logger
        self.readiness = readiness
        preference = ReplicaPreference(localNode: node, hedgeShare: hedgeShare)
    }

    package func notReadyReason() -> String? { readiness() }

    /// The newest cluster state.
    func freshState() async throws(DatabaseError) -> ClusterState {
        do {
            return try await cache.refreshIfStale()
        } catch {
            throw .unavailable(reason: error.description)
        }
    }

    /// The state to route by: what is wrong in one that lags behind the replicas notice.
    func stateForAnswers() async throws(DatabaseError) -> ClusterState {
        do {
            return try await cache.stateForAnswers()
        } catch {
            throw .unavailable(reason: error.description)
        }
    }

    /// The same for a read that may be stale: when the control store does not answer, the state that is known.
    func stateForAnswers(isStale: Bool) async throws(DatabaseError) -> ClusterState {
        do {
            return try await stateForAnswers()
        } catch {
            guard isStale else { throw error }
            return cache.current
        }
    }

    /// Waits until whoever asks any node next finds what was just written. Where nodes ask the store before each
    /// answer, only this one has to catch up. A node that does not say so in time is not waited for.
    func spread(_ revision: Revision, deadline: Deadline) async throws(DatabaseError) {
        if cache.store.latestRevisionIsCheap {
            _ = try await freshState()
        } else {
            _ = await cache.wait(deadline: min(deadline, .after(Self.spreadPatience))) { state in
                state.revision >= revision && state.isKnown(revision)
            }
        }
    }

    /// The shards of a collection that takes requests.
    ///
    /// - Parameter isStale: whether this node's state may be old.
    func routing(of name: String, isStale: Bool = false) async throws(DatabaseError) -> RoutingTable {
        // A node whose state may be old, and which nobody waits for, sends nobody anywhere.
        if !isStale, !cache.store.latestRevisionIsCheap, let reason = readiness() { throw .unavailable(reason: reason) }
        var state = try await stateForAnswers(isStale: isStale)
        // A state that lags behind may not know it yet.
        if state.collection(name)?.value.state != .ready { state = try await freshState() }
        guard let table = state.routing(of: name) else { throw .collectionNotFound(name) }
        switch table.collection.value.state {
        case .ready: return table
        case .creating: throw .unavailable(reason: "collection \(name) is still being created")
        case .deleting: throw .collectionNotFound(name)
        }
    }
}

import Cluster
import DataModel
import Foundation
import Logging
import Synchronization

/// Joins the cluster and stays in it: takes the node's lease, announces the node, and keeps both alive.
final class LeaseKeeper: Sendable {
    /// Keep-alives per lease time: enough that a few may fail or be late.
    private static let keepAlivesPerLease = 6.0
    private static let retryDelay: Duration = .milliseconds(50)

    /// Beyond the lease's time: what a control store may take to end a lease that is over.
    private static let joinPatience: Duration = .seconds(3)

    let record: NodeRecord
    let lease: LeaseGuard
    /// For `run`.
    let executor = LeaseExecutor()
    private let ttl: Duration
    private let cache: ClusterStateCache
    private let former: FormerProcess
    private let logger: Logger
    private let current = Mutex<LeaseID?>(nil)
    private let isRemoved = Atomic<Bool>(false)

    private var store: any ControlStore { cache.store }

    init(
        record: NodeRecord, lease: LeaseGuard, ttl: Duration, cache: ClusterStateCache, former: FormerProcess,
        logger: Logger
    ) {
        self.record = record
        self.lease = lease
        self.ttl = ttl
        self.cache = cache
        self.former = former
        self.logger = logger
    }

    /// The lease that is held; nil between two.
    var id: LeaseID? { lease.holds ? current.withLock { $0 } : nil }

    /// Why this node cannot take requests; nil while it can.
    var notReadyReason: String? {
        if isRemoved.load(ordering: .acquiring) {
            return "node \(record.id) was removed from the cluster: stop it; started again, it joins anew"
        }
        return lease.holds ? nil : "the node holds no lease"
    }

    /// Takes a lease, announces the node under it, and reads the state anew: from then on the node may answer.
    ///
    /// The former announcement of a node that was killed and comes back at once is taken back when its process is
    /// surely gone, and waited out else.
    ///
    /// - Throws: `NodeError.alreadyRunning` when it does not go away; `storeIsLeft`; `controlStore`.
    func join() async throws(NodeError) {
        let patience = Deadline.after(ttl * 2 + Self.joinPatience)
        while true {
            if try await tryToJoin() { return }
            if patience.isPast || Task.isCancelled { break }
            try? await Task.sleep(for: Self.retryDelay)
        }
        throw .alreadyRunning(reason: "another process runs node \(record.id) of this cluster: stop it first")
    }

    /// - Returns: false when the node is announced already.
    private func tryToJoin() async throws(NodeError) -> Bool {
        do throws(ControlStoreError) {
            if let announced = try await store.get(ControlKey.live(record.id)) {
                try await endFormerLease(announced)
                return false
            }
            let sentAt = ContinuousClock.now
            let id = try await store.grantLease(ttl: ttl)
            if try await announce(under: id) {
                // Whoever waits until all nodes know a change does not wait for one that joined later.
                try await cache.refreshIfStale()
                current.withLock { $0 = id }
                lease.renewed(sentAt: sentAt, ttl: ttl)
                return true
            }
            try await store.revoke(id)
        } catch {
            throw .controlStore(reason: error.description)
        }
        try await StoreMigration.refuse(store)
        return false
    }

    /// Ends the lease of the process that had our data folder before us.
    private func endFormerLease(_ announced: ControlEntry) async throws(ControlStoreError) {
        guard let lease = announced.lease, let incarnation = former.incarnation,
            NodeLiveness(encoded: announced.value)?.incarnation == incarnation
        else { return }
        logger.info("The former process of this node is gone; its lease is ended")
        try await store.revoke(lease)
    }

    /// - Returns: false when the node is announced already, or no node may start.
    private func announce(under id: LeaseID) async throws(ControlStoreError) -> Bool {
        let recorded = try await store.get(ControlKey.node(record.id)).flatMap { NodeRecord(encoded: $0.value) }
        var record = record
        let liveness = NodeLiveness(
            id: record.id, incarnation: .random(in: .min ... .max), pid: ProcessInfo.processInfo.processIdentifier,
            startedAt: Date().timeIntervalSince1970)
        do {
            try former.replace(by: liveness.incarnation, recorded: recorded?.dataIncarnation)
            record.dataIncarnation = liveness.incarnation
        } catch {
            // Then the next process waits for our lease to run out, and the folder goes on under its former mark.
            record.dataIncarnation = recorded?.dataIncarnation
            logger.warning("The node's incarnation cannot be noted: \(error)")
        }
        let key = ControlKey.live(record.id)
        let outcome = try await store.transaction(
            guards: [
                ControlGuard(key: key, expected: nil), ControlGuard(key: ControlKey.migration, expected: nil),
            ],
            mutations: [
                .put(key: ControlKey.node(record.id), value: record.encoded),
                .put(key: key, value: liveness.encoded, lease: id),
            ])
        if case .conflict = outcome { return false }
        return true
    }

    /// Keeps the lease until the task is cancelled, or the node is removed from the cluster; takes a new one when it is
    /// lost.
    func run() async {
        while !Task.isCancelled {
            guard (try? await Task.sleep(for: ttl / Self.keepAlivesPerLease)) != nil else { return }
            guard let id = current.withLock({ $0 }) else { return }
            if cache.current.nodes[record.id] == nil { return await leaveForGood() }
            let sentAt = ContinuousClock.now
            do throws(ControlStoreError) {
                try await store.keepAlive(id)
                lease.renewed(sentAt: sentAt, ttl: ttl)
            } catch .leaseExpired {
                lease.lost()
                if await wasRemoved() { return await leaveForGood() }
                logger.warning("The node's lease is lost; joining anew")
                await rejoin()
            } catch {
                // The guard runs out by itself when this goes on.
                logger.warning("The node's lease could not be kept alive: \(error)")
            }
        }
    }

    /// What this node follows of the records may be old, when it was cut off for long.
    private func wasRemoved() async -> Bool {
        while !Task.isCancelled {
            do throws(ControlStoreError) {
                return try await store.get(ControlKey.node(record.id)) == nil
            } catch {
                try? await Task.sleep(for: Self.retryDelay)
            }
        }
        return false
    }

    /// The node's record is gone, which its announcement had made: somebody removed it.
    private func leaveForGood() async {
        isRemoved.store(true, ordering: .releasing)
        logger.notice("This node was removed from the cluster; it holds nothing any more, and can be stopped")
        await leave()
    }

    private func rejoin() async {
        while !Task.isCancelled {
            do throws(NodeError) {
                try await join()
                logger.info("The node has a lease again")
                return
            } catch {
                logger.warning("The node cannot join: \(error)")
                try? await Task.sleep(for: Self.retryDelay)
            }
        }
    }

    /// Ends the membership: the others see it at once.
    func leave() async {
        // One that ran out because the store is away ends there by itself: nobody waits for the store now.
        let id = id
        lease.lost()
        current.withLock { $0 = nil }
        if let id { try? await store.revoke(id) }
    }
}

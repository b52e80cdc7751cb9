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

    let record: NodeRecord
    let lease: LeaseGuard
    private let ttl: Duration
    private let store: any ControlStore
    private let logger: Logger
    private let current = Mutex<LeaseID?>(nil)

    init(record: NodeRecord, lease: LeaseGuard, ttl: Duration, store: any ControlStore, logger: Logger) {
        self.record = record
        self.lease = lease
        self.ttl = ttl
        self.store = store
        self.logger = logger
    }

    /// The lease that is held; nil between two.
    var id: LeaseID? { lease.holds ? current.withLock { $0 } : nil }

    /// Takes a lease and announces the node under it.
    ///
    /// A node that was killed and comes back at once finds its former announcement; it is waited out.
    ///
    /// - Throws: `NodeError.alreadyRunning` when it does not go away; `controlStore`.
    func join() async throws(NodeError) {
        let patience = Deadline.after(ttl * 2)
        do throws(ControlStoreError) {
            while true {
                let sentAt = ContinuousClock.now
                let id = try await store.grantLease(ttl: ttl)
                if try await announce(under: id) {
                    current.withLock { $0 = id }
                    lease.renewed(sentAt: sentAt, ttl: ttl)
                    return
                }
                try await store.revoke(id)
                if patience.isPast || Task.isCancelled { break }
                try? await Task.sleep(for: Self.retryDelay)
            }
        } catch {
            throw .controlStore(reason: error.description)
        }
        throw .alreadyRunning(reason: "another process runs node \(record.id) of this cluster: stop it first")
    }

    /// - Returns: false when the node is announced already.
    private func announce(under id: LeaseID) async throws(ControlStoreError) -> Bool {
        let liveness = NodeLiveness(
            id: record.id, incarnation: .random(in: .min ... .max), pid: ProcessInfo.processInfo.processIdentifier,
            startedAt: Date().timeIntervalSince1970)
        let key = ControlKey.live(record.id)
        let outcome = try await store.transaction(
            guards: [ControlGuard(key: key, expected: nil)],
            mutations: [
                .put(key: ControlKey.node(record.id), value: record.encoded),
                .put(key: key, value: liveness.encoded, lease: id),
            ])
        if case .conflict = outcome { return false }
        return true
    }

    /// Keeps the lease until the task is cancelled; takes a new one when it is lost.
    func run() async {
        while !Task.isCancelled {
            guard (try? await Task.sleep(for: ttl / Self.keepAlivesPerLease)) != nil else { return }
            guard let id = current.withLock({ $0 }) else { return }
            let sentAt = ContinuousClock.now
            do throws(ControlStoreError) {
                try await store.keepAlive(id)
                lease.renewed(sentAt: sentAt, ttl: ttl)
            } catch .leaseExpired {
                lease.lost()
                logger.warning("The node's lease is lost; joining anew")
                await rejoin()
            } catch {
                // The guard runs out by itself when this goes on.
                logger.warning("The node's lease could not be kept alive: \(error)")
            }
        }
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
        lease.lost()
        let id = current.withLock { current in
            defer { current = nil }
            return current
        }
        if let id { try? await store.revoke(id) }
    }
}

import Cluster
import DataModel
import Foundation
import Logging

/// Takes the controller's role when it is free, and carries out what the controller decides while this node has it.
struct ControllerLoop: Sendable {
    /// How often the controller looks at the cluster in which something changed: some decisions come with time alone.
    private static let interval: Duration = .milliseconds(100)

    /// Looks seldom at a cluster in which nothing has changed for some time: each look is at all of its records.
    private struct Pace {
        private static let settlingTime: Duration = .seconds(10)
        private static let quietInterval: Duration = .seconds(1)

        private var revision: Revision?
        private var changed = ContinuousClock.now
        private var last = ContinuousClock.now

        mutating func isDue(_ revision: Revision, now: ContinuousClock.Instant) -> Bool {
            if revision != self.revision { (self.revision, changed) = (revision, now) }
            guard now - changed < Self.settlingTime || now - last >= Self.quietInterval else { return false }
            last = now
            return true
        }
    }

    let node: NodeID
    let cache: ClusterStateCache
    let keeper: LeaseKeeper
    let options: Controller.Options
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            // Two wake-ups that never overlap: both feed one stream.
            let (wakeups, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            group.addTask {
                for await _ in cache.updates() { continuation.yield() }
            }
            group.addTask {
                while (try? await Task.sleep(for: Self.interval)) != nil { continuation.yield() }
                continuation.finish()
            }
            var pace = Pace()
            for await _ in wakeups {
                if Task.isCancelled { break }
                if pace.isDue(cache.current.revision, now: .now) { await step() }
            }
            group.cancelAll()
        }
    }

    private func step() async {
        guard let lease = keeper.id else { return }
        let state = cache.current
        do throws(ControlStoreError) {
            switch Controller.step(state, as: node, now: Date().timeIntervalSince1970, options: options) {
            case .wait: break
            case .claim:
                let outcome = try await cache.store.compareAndSwap(
                    ControlKey.controller, expected: nil, value: ControllerRecord(node: node).encoded, lease: lease)
                if case .committed = outcome { logger.info("This node is the controller now") }
            case .act(let actions):
                for action in actions {
                    guard keeper.lease.holds else { return }
                    let outcome = try await cache.store.transaction(guards: action.guards, mutations: action.mutations)
                    if case .committed = outcome { logger.info("\(action.summary)") }
                }
            }
        } catch .leaseExpired {
            // The keeper takes a new one.
        } catch {
            logger.warning("The controller cannot reach the control store: \(error)")
        }
    }
}

import Cluster
import Coordinator
import DataModel
import Logging

/// Begins a rebalance by itself, on the node that is the controller, when the cluster was uneven for some time: after a
/// node joined, say. Its plan is the one that `shoal cluster rebalance` would print.
struct AutomaticRebalance: Sendable {
    /// Each look asks every replica what it weighs.
    private static let longestInterval: Duration = .seconds(30)
    private static let planTimeout: Duration = .seconds(10)

    let node: NodeID
    let cache: ClusterStateCache
    let coordinator: Coordinator
    /// For how long the cluster has to be uneven.
    let patience: Duration
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        let start = ContinuousClock.now
        var watch = BalanceWatch(patience: patience)
        let interval = min(Self.longestInterval, max(.milliseconds(200), patience / 4))
        while (try? await Task.sleep(for: interval)) != nil {
            let isUneven = await isUneven()
            guard watch.isDue(isUneven: isUneven, now: ContinuousClock.now - start) else { continue }
            await begin()
        }
    }

    private func isUneven() async -> Bool {
        let state = cache.current
        guard state.controller?.value.node == node, BalanceWatch.isQuiet(state) else { return false }
        let plan = try? await coordinator.plan(.rebalance(by: nil), deadline: .after(Self.planTimeout))
        return plan?.steps.isEmpty == false
    }

    private func begin() async {
        do throws(DatabaseError) {
            let operation = try await coordinator.begin(
                .rebalance(by: nil), maxBytesPerSecond: nil, reason: "automatic: the cluster was uneven",
                deadline: .after(Self.planTimeout))
            logger.notice("The cluster is uneven: operation \(operation.id) rebalances it")
        } catch {
            logger.info("The cluster is uneven and cannot be rebalanced now: \(error)")
        }
    }
}

/// Decides when an uneven cluster is rebalanced by itself: when it was uneven for some time without a break, and
/// nothing else went on. Pure; told the time.
package struct BalanceWatch: Sendable {
    private let patience: Duration
    private var unevenSince: Duration?

    package init(patience: Duration) { self.patience = patience }

    /// Whether the time has come.
    ///
    /// - Parameters:
    ///   - isUneven: whether a plan has moves; false while the cluster is not quiet.
    ///   - now: by a clock that never goes back.
    package mutating func isDue(isUneven: Bool, now: Duration) -> Bool {
        guard isUneven else {
            unevenSince = nil
            return false
        }
        guard let since = unevenSince else {
            unevenSince = now
            return patience == .zero
        }
        guard now - since >= patience else { return false }
        // A rebalance that fails is not begun again at once.
        unevenSince = nil
        return true
    }

    /// Whether a rebalance would disturb nothing: no operation is open, and every replica is in sync.
    package static func isQuiet(_ state: ClusterState) -> Bool {
        state.openOperations.isEmpty && state.collections.values.allSatisfy { $0.value.state == .ready }
            && state.allShards.allSatisfy {
                $0.value.inSync.count == $0.value.replicas.count && $0.value.handover == nil
            }
    }
}

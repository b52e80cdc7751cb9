package import DataModel

extension Controller {
    /// What a node does about the controller's role.
    package enum Step: Sendable, Equatable {
        /// Another node has it.
        case wait
        /// Nobody has it: put one's own name under one's own lease, unless somebody else is quicker.
        case claim
        /// Carry these out, each as a transaction of its own.
        case act([ControlAction])
    }

    package static func step(
        _ state: ClusterState, as node: NodeID, now: Double, options: Options = Options()
    ) -> Step {
        guard let role = state.controller else { return .claim }
        guard role.value.node == node else { return .wait }
        return .act(reconcile(state, as: node, now: now, options: options))
    }
}

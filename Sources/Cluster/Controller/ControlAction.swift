/// A change of the records that the controller decided on: one guarded transaction.
package struct ControlAction: Sendable, Equatable {
    /// What it does and why, for the log.
    package var summary: String
    package var guards: [ControlGuard]
    package var mutations: [ControlMutation]

    package init(summary: String, guards: [ControlGuard], mutations: [ControlMutation]) {
        self.summary = summary
        self.guards = guards
        self.mutations = mutations
    }
}

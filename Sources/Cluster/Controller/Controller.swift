package import DataModel

/// Decides what brings the cluster's state nearer to what is wanted. Pure: the loop that runs it on the node that holds
/// the controller's role, and executes its actions, is elsewhere.
///
/// Each call looks at one state and touches no record twice, so that its actions do not conflict with each other; what
/// remains is done when they have changed the state.
package struct Controller {
    package struct Options: Sendable {
        /// When every live node has been up for less than this, the cluster is starting, and the nodes that are missing
        /// are given until then to come back before their shards get other primaries.
        package var startGraceSeconds = 3.0
        /// A collection whose creator has not finished by then (it died) is deleted.
        package var creationPatienceSeconds = 300.0
        /// An operation that waits longer for a dead node fails.
        package var deadNodePatienceSeconds = 600.0
        /// Operations that are over are forgotten after a day.
        package var operationRetentionSeconds = 86_400.0
        /// Replicas that a node sends at a time for operations, and that it receives.
        package var transfersPerNode = 1
        /// Whether primaries are handed over until every node has about as many.
        package var balancesPrimaries = true

        package init() {}
    }

    let state: ClusterState
    /// Seconds since 1970.
    let now: Double
    let options: Options
    /// Holds for every action, so that a controller that was replaced changes nothing.
    private let roleGuard: ControlGuard
    private(set) var actions: [ControlAction] = []
    /// Shards that an action of this call changes.
    private(set) var touched: Set<ShardID> = []
    var counts: ReplicaCounts
    /// Whether this call begins a split or merge.
    var hasBegunReshard = false

    /// What to do now, each action a transaction of its own; nothing when `node` is not the controller.
    package static func reconcile(
        _ state: ClusterState, as node: NodeID, now: Double, options: Options = Options()
    ) -> [ControlAction] {
        guard let role = state.controller, role.value.node == node else { return [] }
        var controller = Controller(state, role: role, now: now, options: options)
        controller.advanceCollections()
        controller.failOver()
        controller.advanceOperations()
        controller.balancePrimaries()
        return controller.actions
    }

    private init(_ state: ClusterState, role: Stored<ControllerRecord>, now: Double, options: Options) {
        self.state = state
        self.now = now
        self.options = options
        roleGuard = ControlGuard(key: ControlKey.controller, expected: role.revision)
        counts = ReplicaCounts(state)
    }

    // MARK: - Writing actions

    /// Adds an action that replaces a shard's record, possibly with other changes in the same transaction.
    mutating func replace(
        _ old: Stored<ShardRecord>, with new: ShardRecord, summary: String, guards: [ControlGuard] = [],
        mutations: [ControlMutation] = []
    ) {
        touched.insert(new.id)
        let key = ControlKey.shard(new.id)
        act(
            summary, guards: [ControlGuard(key: key, expected: old.revision)] + guards,
            mutations: [.put(key: key, value: new.encoded)] + mutations)
    }

    mutating func act(_ summary: String, guards: [ControlGuard], mutations: [ControlMutation]) {
        actions.append(ControlAction(summary: summary, guards: [roleGuard] + guards, mutations: mutations))
    }

    mutating func touch(_ shard: ShardID) { touched.insert(shard) }

    // MARK: - Questions

    func isDeleting(_ collection: CollectionID) -> Bool {
        guard let record: Stored<CollectionRecord> = state.collection(collection) else { return true }
        return record.value.state == .deleting
    }

    /// Whether all live nodes have only just started: after a power failure, say.
    var isStarting: Bool {
        state.live.values.allSatisfy {
            // A start in the future is another machine's clock; nobody waits for that.
            (0..<options.startGraceSeconds).contains(now - $0.value.startedAt)
        }
    }
}

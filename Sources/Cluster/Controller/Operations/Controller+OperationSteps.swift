import DataModel

/// What the kinds of operations have in common: looking at a shard, waiting, ending, and writing a step down together with
/// the change that it makes.
extension Controller {
    /// Nil, and the operation over, when its shard is gone.
    mutating func existingShard(_ id: ShardID, of operation: Stored<OperationRecord>) -> Stored<ShardRecord>? {
        guard let shard = state.shard(id), !isDeleting(id.collection) else {
            fail(operation, "the shard or its collection was deleted")
            return nil
        }
        return shard
    }

    /// Lets the operation wait for a dead node, for a while; then it fails, and the copy that it was making goes again.
    mutating func wait(
        for node: NodeID, _ operation: Stored<OperationRecord>,
        undoing copy: (shard: Stored<ShardRecord>, node: NodeID)? = nil
    ) {
        guard isOutOfPatience(operation) else {
            return noteBlocked(operation, "waits for node \(node), which is not alive")
        }
        let reason = "node \(node) was not alive for \(Int(options.deadNodePatienceSeconds)) seconds"
        guard let (shard, target) = copy else { return fail(operation, reason) }
        replace(
            shard, with: shard.value.removing(target), summary: "operation \(operation.value.id) failed: \(reason)",
            operation, becomes: .failed, detail: reason)
    }

    /// Whether the operation has waited for nodes that are not alive for as long as it may.
    func isOutOfPatience(_ operation: Stored<OperationRecord>) -> Bool {
        operation.value.blockedSince.map { now - $0 > options.deadNodePatienceSeconds } ?? false
    }

    /// Writes down which nodes that are not alive the operation waits for, and since when it waits for any.
    mutating func noteBlocked(_ operation: Stored<OperationRecord>, _ detail: String) {
        note(operation, detail, blockedSince: operation.value.blockedSince ?? now)
    }

    /// Lets the operation wait for the copy on a node; it fails, and the node loses the replica again, when there is no
    /// room for it: further tries would only take from others what is left of the disk, and keep the node's turn.
    mutating func followCopy(_ operation: Stored<OperationRecord>, _ shard: Stored<ShardRecord>, to node: NodeID) {
        if let reason = state.progress[operation.value.id]?.lackOfRoom {
            return replace(
                shard, with: shard.value.removing(node), summary: "operation \(operation.value.id) failed: \(reason)",
                operation, becomes: .failed, detail: reason)
        }
        // Without the primary nobody sends anything.
        guard let missing = [node, shard.value.primary].first(where: { !state.isLive($0) }) else {
            return note(operation, Self.copying(to: node))
        }
        wait(for: missing, operation, undoing: (shard, node))
    }

    /// Asks the primary to pass its role on.
    mutating func handOver(_ operation: Stored<OperationRecord>, _ shard: Stored<ShardRecord>, to node: NodeID) {
        let detail = "node \(shard.value.primary) hands the primary's role over to node \(node)"
        if shard.value.handover == node { return note(operation, detail) }
        var record = shard.value
        record.handover = node
        replace(
            shard, with: record, summary: "operation \(operation.value.id): \(detail)", operation,
            becomes: operation.value.state, detail: detail)
    }

    /// Why the operation has not begun yet. A step of a larger operation says nothing: hundreds of them may wait for their
    /// turn, and each word is a transaction. But the time of a wait for a dead node ends here.
    mutating func noteObstacle(_ operation: Stored<OperationRecord>, _ obstacle: String) {
        if operation.value.parent == nil || operation.value.blockedSince != nil { note(operation, obstacle) }
    }

    // MARK: - Writing steps down

    mutating func fail(_ operation: Stored<OperationRecord>, _ reason: String) {
        finish(operation, as: .failed, reason)
    }

    /// Ends the operation, possibly with other changes in the same transaction.
    mutating func finish(
        _ operation: Stored<OperationRecord>, as state: OperationRecord.State, _ detail: String,
        guards: [ControlGuard] = [], mutations: [ControlMutation] = []
    ) {
        change(
            operation, to: state, detail: detail, summary: "\(state.rawValue): \(detail)", guards: guards,
            mutations: mutations)
    }

    /// Takes the operation to a state, possibly with other changes in the same transaction.
    mutating func change(
        _ operation: Stored<OperationRecord>, to state: OperationRecord.State, detail: String, summary: String,
        guards: [ControlGuard] = [], mutations: [ControlMutation] = []
    ) {
        let (condition, mutation) = Self.change(operation, to: state, detail: detail, blockedSince: nil)
        act(
            "operation \(operation.value.id) \(summary)", guards: [condition] + guards,
            mutations: [mutation] + mutations)
    }

    /// Writes down what the operation does, if that is new.
    mutating func note(_ operation: Stored<OperationRecord>, _ detail: String, blockedSince: Double? = nil) {
        if operation.value.detail == detail && operation.value.blockedSince == blockedSince { return }
        let (condition, mutation) = Self.change(
            operation, to: operation.value.state, detail: detail, blockedSince: blockedSince)
        act("operation \(operation.value.id): \(detail)", guards: [condition], mutations: [mutation])
    }

    /// Replaces the shard's record and the operation's in one transaction.
    mutating func replace(
        _ shard: Stored<ShardRecord>, with record: ShardRecord, summary: String, _ operation: Stored<OperationRecord>,
        becomes state: OperationRecord.State, detail: String
    ) {
        let (condition, mutation) = Self.change(operation, to: state, detail: detail, blockedSince: nil)
        replace(shard, with: record, summary: summary, guards: [condition], mutations: [mutation])
    }

    private static func change(
        _ operation: Stored<OperationRecord>, to state: OperationRecord.State, detail: String, blockedSince: Double?
    ) -> (ControlGuard, ControlMutation) {
        var record = operation.value
        record.state = state
        record.detail = detail
        record.hasStarted = record.hasStarted || state == .running
        record.blockedSince = blockedSince
        let key = ControlKey.operation(record.id)
        return (ControlGuard(key: key, expected: operation.revision), .put(key: key, value: record.encoded))
    }
}

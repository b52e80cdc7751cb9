import DataModel

extension Controller {
    /// Takes each operation one step on. A node receives one replica at a time: two copies at once would only both be
    /// slow, and the later one would find the earlier one's work done if either is cancelled.
    mutating func advanceOperations() {
        forgetOldOperations()
        let open = state.openOperations
        var busyTargets: Set<NodeID> = []
        var busyShards: Set<ShardID> = []
        for operation in open where operation.value.state != .planned {
            busyShards.insert(operation.value.shard)
            busyTargets.insert(operation.value.target)
        }
        for operation in open where !touched.contains(operation.value.shard) {
            switch operation.value.state {
            case .planned:
                startMove(operation, busyTargets: &busyTargets, busyShards: &busyShards)
            case .running:
                continueMove(operation)
            case .cancelling:
                undoMove(operation)
            case .done, .failed, .cancelled:
                continue
            }
        }
    }

    private mutating func forgetOldOperations() {
        for id in state.operations.keys.sorted() {
            guard let operation = state.operations[id], operation.value.state.isFinal,
                now - operation.value.createdAt > options.operationRetentionSeconds
            else { continue }
            act(
                "operation \(id): over for long",
                guards: [ControlGuard(key: ControlKey.operation(id), expected: operation.revision)],
                mutations: [.delete(key: ControlKey.operation(id)), .delete(key: ControlKey.progress(id))])
        }
    }

    // MARK: - Planned

    private mutating func startMove(
        _ operation: Stored<OperationRecord>, busyTargets: inout Set<NodeID>, busyShards: inout Set<ShardID>
    ) {
        let move = operation.value
        guard let shard = existingShard(of: operation) else { return }
        if state.nodes[move.target] == nil { return fail(operation, "node \(move.target) is unknown") }
        if shard.value.replica(on: move.source) == nil {
            return fail(operation, "node \(move.source) has no replica of the shard")
        }
        if shard.value.replica(on: move.target) != nil {
            return fail(operation, "node \(move.target) has a replica of the shard already")
        }
        if !state.isLive(move.target) { return wait(for: move.target, operation) }
        if busyShards.contains(move.shard) { return note(operation, "waits for another operation on the shard") }
        if busyTargets.contains(move.target) {
            return note(operation, "waits for the transfer to node \(move.target) that is running")
        }
        busyShards.insert(move.shard)
        busyTargets.insert(move.target)
        replace(
            shard, with: shard.value.adding(move.target),
            summary: "operation \(move.id): node \(move.target) gets a replica of shard \(move.shard)",
            operation, becomes: .running, detail: Self.copying(to: move.target))
    }

    private static func copying(to node: NodeID) -> String { "copying to node \(node)" }

    // MARK: - Running

    private mutating func continueMove(_ operation: Stored<OperationRecord>) {
        let move = operation.value
        guard let shard = existingShard(of: operation) else { return }
        guard let target = shard.value.replica(on: move.target) else {
            return fail(operation, "node \(move.target) lost its replica of the shard")
        }
        if target.state == .catchingUp {
            return state.isLive(move.target)
                ? note(operation, Self.copying(to: move.target)) : wait(for: move.target, operation, undoing: shard)
        }
        if shard.value.primary == move.source {
            // When the primary is dead, failover passes the role on.
            return handOver(operation, shard, to: move.target)
        }
        guard shard.value.replica(on: move.source) != nil else {
            return finish(operation, as: .done, "moved to node \(move.target)")
        }
        let remaining = shard.value.removing(move.source)
        if !remaining.inSync.contains(where: { state.isLive($0) }) {
            return note(operation, "waits: no other in-sync replica is alive")
        }
        replace(
            shard, with: remaining,
            summary: "operation \(move.id): node \(move.source) gives its replica of shard \(move.shard) up",
            operation, becomes: .done, detail: "moved to node \(move.target)")
    }

    private mutating func handOver(
        _ operation: Stored<OperationRecord>, _ shard: Stored<ShardRecord>, to node: NodeID
    ) {
        let detail = "node \(shard.value.primary) hands the primary's role over to node \(node)"
        if shard.value.handover == node { return note(operation, detail) }
        var record = shard.value
        record.handover = node
        replace(
            shard, with: record, summary: "operation \(operation.value.id): \(detail)", operation,
            becomes: operation.value.state, detail: detail)
    }

    // MARK: - Cancelling

    private mutating func undoMove(_ operation: Stored<OperationRecord>) {
        let move = operation.value
        // Not yet begun, or begun and given up: nothing is to be undone.
        guard move.hasStarted, let shard = state.shard(move.shard), shard.value.replica(on: move.target) != nil,
            !isDeleting(move.shard.collection), shard.value.replica(on: move.source) != nil
        else { return finish(operation, as: .cancelled, "cancelled") }
        if shard.value.primary == move.target {
            let others = shard.value.inSync.filter { $0 != move.target && state.isLive($0) }
            guard let heir = others.first(where: { $0 == move.source }) ?? others.first else {
                return note(operation, "waits: node \(move.target) is the only one that is in sync and alive")
            }
            return handOver(operation, shard, to: heir)
        }
        let remaining = shard.value.removing(move.target)
        if shard.value.isInSync(move.target) && !remaining.inSync.contains(where: { state.isLive($0) }) {
            return note(operation, "waits: no other in-sync replica is alive")
        }
        replace(
            shard, with: remaining,
            summary: "operation \(move.id) was cancelled: node \(move.target) gives its replica up", operation,
            becomes: .cancelled, detail: "cancelled")
    }

    // MARK: - Changing operations

    /// Nil, and the operation over, when its shard is gone.
    private mutating func existingShard(of operation: Stored<OperationRecord>) -> Stored<ShardRecord>? {
        guard let shard = state.shard(operation.value.shard), !isDeleting(operation.value.shard.collection) else {
            fail(operation, "the shard or its collection was deleted")
            return nil
        }
        return shard
    }

    /// Lets the operation wait for a dead node, for a while; then it fails, and `undoing` loses the node's replica
    /// again.
    private mutating func wait(
        for node: NodeID, _ operation: Stored<OperationRecord>, undoing shard: Stored<ShardRecord>? = nil
    ) {
        let detail = "waits for node \(node), which is not alive"
        guard let since = operation.value.blockedSince, now - since > options.deadNodePatienceSeconds else {
            return note(operation, detail, blockedSince: operation.value.blockedSince ?? now)
        }
        let reason = "node \(node) was not alive for \(Int(options.deadNodePatienceSeconds)) seconds"
        guard let shard else { return fail(operation, reason) }
        replace(
            shard, with: shard.value.removing(node), summary: "operation \(operation.value.id) failed: \(reason)",
            operation, becomes: .failed, detail: reason)
    }

    private mutating func fail(_ operation: Stored<OperationRecord>, _ reason: String) {
        finish(operation, as: .failed, reason)
    }

    private mutating func finish(
        _ operation: Stored<OperationRecord>, as state: OperationRecord.State, _ detail: String
    ) {
        let (condition, mutation) = Self.change(operation, to: state, detail: detail, blockedSince: nil)
        act(
            "operation \(operation.value.id) \(state.rawValue): \(detail)", guards: [condition], mutations: [mutation])
    }

    /// Writes down what the operation does, if that is new.
    private mutating func note(
        _ operation: Stored<OperationRecord>, _ detail: String, blockedSince: Double? = nil
    ) {
        if operation.value.detail == detail && operation.value.blockedSince == blockedSince { return }
        let (condition, mutation) = Self.change(
            operation, to: operation.value.state, detail: detail, blockedSince: blockedSince)
        act("operation \(operation.value.id): \(detail)", guards: [condition], mutations: [mutation])
    }

    /// Replaces the shard's record and the operation's in one transaction.
    private mutating func replace(
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

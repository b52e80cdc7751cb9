import DataModel

/// Operations that carry a plan of others out: `set-replication-factor`, `drain`, `remove` and `rebalance`.
///
/// The plan is in the operation's record, its steps become records of their own, a batch in each transaction. When they
/// are over, what is still missing is planned anew: so new shards, and steps that failed, are met too.
extension Controller {
    /// Steps in one transaction, which changes the operation's record and perhaps another one as well.
    private static let batchSteps = ControlLimits.transactionOperations - 2
    /// How often a shard's step may fail before its operation does.
    private static let attempts = 3

    mutating func advancePlan(_ operation: Stored<OperationRecord>) {
        switch operation.value.state {
        case .planned: beginPlan(operation)
        case .running:
            if let plan = operation.value.plan, !plan.isEmpty { return recordSteps(operation, plan) }
            let steps = state.steps(of: operation.value.id).map(\.value)
            guard steps.allSatisfy(\.state.isFinal) else { return note(operation, "its steps are under way") }
            conclude(operation, steps)
        case .cancelling: cancelPlan(operation)
        case .done, .failed, .cancelled: return
        }
    }

    // MARK: - Beginning

    private mutating func beginPlan(_ operation: Stored<OperationRecord>) {
        let id = operation.value.id
        switch operation.value.kind {
        case .setReplicationFactor(let collection, let factor, _):
            guard let record: Stored<CollectionRecord> = state.collection(collection), record.value.state == .ready
            else {
                return fail(operation, "the collection was deleted")
            }
            let (condition, mutation) = Self.setting(factor, of: record)
            change(
                operation, to: .running, detail: "begins", summary: "begins: \(factor) replicas of each shard",
                guards: [condition], mutations: [mutation])
        case .drain(let node), .remove(let node):
            guard state.nodes[node] != nil else { return fail(operation, "node \(node) is unknown") }
            // A node that was drained before stays so when its removal is cancelled.
            let isRemovalOfDrained = operation.value.kind == .remove(node: node) && state.isDraining(node)
            change(
                operation, to: .running, detail: "begins", summary: "begins: node \(node) gives its replicas up",
                mutations: isRemovalOfDrained
                    ? [] : [.put(key: ControlKey.draining(node), value: DrainingRecord(operation: id).encoded)])
        default:
            change(operation, to: .running, detail: "begins", summary: "begins")
        }
    }

    private static func setting(
        _ factor: Int, of collection: Stored<CollectionRecord>
    ) -> (ControlGuard, ControlMutation) {
        var record = collection.value
        record.config.replicationFactor = factor
        let key = ControlKey.collection(record.name)
        return (ControlGuard(key: key, expected: collection.revision), .put(key: key, value: record.encoded))
    }

    /// Writes the next steps down as operations. The rest of the plan stays in the operation's record, whose change
    /// keeps a step from being written twice.
    private mutating func recordSteps(_ operation: Stored<OperationRecord>, _ plan: [PlannedStep]) {
        var record = operation.value
        let batch = plan.prefix(Self.batchSteps)
        let recorded = record.stepsRecorded ?? 0
        let mutations = batch.enumerated().map { index, step in
            let child = OperationRecord(
                id: "\(record.id).\(recorded + index + 1)", kind: step.kind, reason: step.reason,
                bytesTotal: step.bytes,
                createdAt: record.createdAt, parent: record.id, maxBytesPerSecond: record.maxBytesPerSecond)
            return ControlMutation.put(key: ControlKey.operation(child.id), value: child.encoded)
        }
        let rest = Array(plan.dropFirst(batch.count))
        record.plan = rest.isEmpty ? nil : rest
        record.stepsRecorded = recorded + batch.count
        rewrite(
            operation, as: record, "plans its steps \(recorded + 1) to \(recorded + batch.count)", mutations: mutations)
    }

    private mutating func rewrite(
        _ operation: Stored<OperationRecord>, as record: OperationRecord, _ summary: String,
        mutations: [ControlMutation] = []
    ) {
        let key = ControlKey.operation(record.id)
        act(
            "operation \(record.id) \(summary)", guards: [ControlGuard(key: key, expected: operation.revision)],
            mutations: [.put(key: key, value: record.encoded)] + mutations)
    }

    // MARK: - Ending

    /// All steps are over: the operation is too, or plans more of them.
    private mutating func conclude(_ operation: Stored<OperationRecord>, _ steps: [OperationRecord]) {
        switch operation.value.kind {
        case .setReplicationFactor(let collection, let factor, _):
            guard let record: Stored<CollectionRecord> = state.collection(collection), record.value.state == .ready
            else {
                return fail(operation, "the collection was deleted")
            }
            let missing = ReplicaPlanner.replicating(collection, factor: factor, in: state, loads: [:])
            conclude(
                operation, steps, missing, isReached: !missing.isBusy, reached: "each shard has \(factor) replicas")
        case .drain(let node):
            let missing = ReplicaPlanner.emptying(node, in: state, loads: [:])
            conclude(operation, steps, missing, isReached: isEmpty(node), reached: "node \(node) holds nothing")
        case .remove(let node):
            let missing = ReplicaPlanner.emptying(node, in: state, loads: [:])
            conclude(
                operation, steps, missing, isReached: isEmpty(node), reached: "node \(node) is removed",
                mutations: [.delete(key: ControlKey.node(node)), .delete(key: ControlKey.draining(node))])
        default:
            // A shard that is gone needs no place.
            let failed = steps.filter { step in
                step.state == .failed && step.kind.shard.map { state.shard($0) != nil } ?? true
            }
            if let first = failed.first {
                return fail(operation, "\(failed.count) of \(steps.count) steps failed, the first: \(first.detail)")
            }
            let cancelled = steps.count { $0.state == .cancelled }
            finish(
                operation, as: .done,
                cancelled == 0 ? "its steps are done" : "\(cancelled) of \(steps.count) steps were cancelled")
        }
    }

    private mutating func conclude(
        _ operation: Stored<OperationRecord>, _ steps: [OperationRecord], _ missing: ReplicaPlanner.Outcome,
        isReached: Bool, reached: String, mutations: [ControlMutation] = []
    ) {
        if missing.steps.isEmpty && missing.obstacles.isEmpty {
            if isReached { return finish(operation, as: .done, reached, mutations: mutations) }
            return note(operation, "waits for other operations on its shards")
        }
        for step in missing.steps {
            let failures = steps.filter { $0.kind.shard == step.kind.shard && $0.state == .failed }
            if failures.count >= Self.attempts, let last = failures.last {
                return fail(operation, "a step failed \(failures.count) times: \(last.detail)")
            }
        }
        guard !missing.steps.isEmpty else { return note(operation, "waits: \(missing.obstacles[0])") }
        var record = operation.value
        record.plan = missing.steps
        rewrite(operation, as: record, "needs \(missing.steps.count) more steps")
    }

    private func isEmpty(_ node: NodeID) -> Bool {
        !state.allShards.contains { $0.value.replica(on: node) != nil }
    }

    // MARK: - Cancelling

    /// Cancels the steps that are not over, and takes back what was asked for: a node takes replicas again, a
    /// collection has its former factor. What was moved stays where it is.
    private mutating func cancelPlan(_ operation: Stored<OperationRecord>) {
        let steps = state.steps(of: operation.value.id)
        let open = steps.filter { !$0.value.state.isFinal }
        guard open.isEmpty else {
            for step in open where step.value.state != .cancelling {
                rewrite(step, as: step.value.cancelled, "is cancelled with operation \(operation.value.id)")
            }
            return
        }
        let done = steps.count { $0.value.state == .done }
        let detail = done == 0 ? "cancelled" : "cancelled; what \(done) of \(steps.count) steps did stays"
        var guards: [ControlGuard] = []
        var mutations: [ControlMutation] = []
        switch operation.value.kind {
        case .drain(let node), .remove(let node):
            if let draining = state.draining[node], draining.value.operation == operation.value.id {
                guards = [ControlGuard(key: ControlKey.draining(node), expected: draining.revision)]
                mutations = [.delete(key: ControlKey.draining(node))]
            }
        case .setReplicationFactor(let collection, let factor, let former):
            if let record: Stored<CollectionRecord> = state.collection(collection),
                record.value.config.replicationFactor == factor, operation.value.hasStarted
            {
                let (condition, mutation) = Self.setting(former, of: record)
                (guards, mutations) = ([condition], [mutation])
            }
        default: break
        }
        finish(operation, as: .cancelled, detail, guards: guards, mutations: mutations)
    }
}

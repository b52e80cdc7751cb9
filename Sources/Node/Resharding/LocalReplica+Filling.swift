import Cluster
import DataModel
import Logging
import Shard
import Synchronization

/// A replica in a split or merge: as the primary of a shard that is replaced it lets others read, as that of a new one it
/// fills itself.
extension LocalReplica {
    func fill(_ request: FillRequest, context: RequestContext) async throws(ShardError) -> FillAnswer {
        if case .finish(let ends) = request { return .finished(try await finishFilling(ends, context.deadline)) }
        let shell = try await servingShell(context)
        switch request {
        case .begin(let reader): return .begun(try shell.beginReading(reader))
        case .points(let reader, let ranges, let place):
            shell.keepLog(for: reader)
            return .points(try await shell.shard.pointPage(of: ranges, from: place))
        case .requests(let after, let through):
            return .requests(try await shell.shard.requestPage(after: after, through: through))
        case .log(let reader, let ranges, let position):
            // The reader has what comes before; the page may not arrive.
            shell.keepLog(after: position.sequence, for: reader)
            return .log(try shell.shard.logPage(of: ranges, after: position, acknowledged: shell.acknowledged))
        case .hold(let milliseconds):
            let (position, revision) = try await shell.hold(for: .milliseconds(Int(milliseconds)))
            return .held(position, revision: revision.rawValue)
        case .release, .finish:
            shell.release()
            return .released
        }
    }

    /// The shell of a primary that may answer, in the epoch that the sender knows.
    private func servingShell(_ context: RequestContext) async throws(ShardError) -> PrimaryShell {
        try ServingRight.check(epoch: context.epoch, against: try await servingRecord(context))
        guard let shell = state.withLock({ $0.shell }), !shell.isOver else { throw .notPrimary }
        return shell
    }

    private func finishFilling(_ ends: [FillEnd], _ deadline: Deadline) async throws(ShardError) -> LogPosition {
        guard let filler = state.withLock({ $0.filler }) else {
            throw .notServing(reason: "the replica is not being filled")
        }
        return try await filler.finish(ends, deadline: deadline)
    }

    // MARK: - Filling this one

    /// Whether this process is the one that fills the shard; what another one began is not gone on with.
    func mayFill(_ record: ShardRecord, in current: ClusterState) -> Bool {
        record.primary == node && current.live[node]?.value.incarnation == record.filling?.incarnation
    }

    /// The operation that this process fills the shard for.
    private func filling(_ record: ShardRecord, in current: ClusterState) -> (OperationRecord, ReshardPlan)? {
        guard let filling = record.filling, mayFill(record, in: current),
            let operation = current.operations[filling.operation]?.value, case .reshard(let plan) = operation.kind
        else { return nil }
        return (operation, plan)
    }

    /// Tells the operation that the shard which it waits for has no files.
    func noteUnfillable(_ failure: ShardError) async {
        let current = environment.cache.current
        guard let record = current.shard(id)?.value, let (operation, plan) = filling(record, in: current) else { return }
        var progress = FillProgress(record: record, plan: plan, operation: operation, environment: environment)
        await progress.report(.init(failure), rows: 0, detail: failure.description)
    }

    /// Begins to fill the shard, once, when its files are open. It takes the primary's role when there is a log.
    func beginFilling(_ record: Stored<ShardRecord>, in current: ClusterState) {
        guard let (operation, plan) = filling(record.value, in: current) else { return }
        let filler: ShardFiller? = state.withLock { state in
            guard case .open(let shard) = state.phase, state.filler == nil, !state.isFilled else { return nil }
            let filler = ShardFiller(
                replica: self, shard: shard, record: record.value, plan: plan, operation: operation)
            state.filler = filler
            return filler
        }
        filler?.start()
    }

    func forget(_ filler: ShardFiller) {
        state.withLock { if $0.filler === filler { $0.filler = nil } }
    }

    /// Lets the filled shard serve like others; the filler goes on through its shell.
    func endFilling() {
        state.withLock { $0.isFilled = true }
        follow(environment.cache.current)
    }
}

import Cluster
import DataModel
import Logging

/// Puts the new shards of splits and merges in the places of the old ones, on the node whose turn it is.
struct CutOver: Sendable {
    private static let interval: Duration = .milliseconds(50)
    /// After one that did not succeed: writers were held up for nothing.
    private static let retryDelay: Duration = .seconds(1)
    /// How long the old shards take no writes at the most.
    private static let holdTime: Duration = .milliseconds(2_000)
    /// What is not done by then is given up, before the hold ends.
    private static let patience: Duration = .milliseconds(1_500)

    let node: NodeID
    let cache: ClusterStateCache
    let lease: LeaseGuard
    let replica: @Sendable (ShardID, NodeID) -> any ReplicaService
    let logger: Logger

    private struct Held: Sendable {
        var shard: ShardRecord
        var position: LogPosition
        var revision: Revision
    }

    private struct Answer: Sendable {
        var held: Held?
        var failure: ShardError?
    }

    /// Runs until the task is cancelled.
    func run() async {
        while (try? await Task.sleep(for: Self.interval)) != nil {
            guard let operation = operation(in: cache.current), lease.holds else { continue }
            let start = ContinuousClock.now
            do throws(ShardError) {
                try await perform(operation.value.id)
                logger.info("Operation \(operation.value.id): shards were replaced in \(ContinuousClock.now - start)")
            } catch {
                logger.warning("Operation \(operation.value.id): shards could not be replaced: \(error)")
                try? await Task.sleep(for: Self.retryDelay)
            }
        }
    }

    private func operation(in state: ClusterState) -> Stored<OperationRecord>? {
        state.operations.values.first { Resharding.conductor(of: $0.value, in: state) == node }
    }

    private func perform(_ id: String) async throws(ShardError) {
        let state = try await freshState()
        guard let operation = state.operations[id], case .reshard(let plan) = operation.value.kind,
            Resharding.conductor(of: operation.value, in: state) == node
        else { throw .notServing(reason: "the operation has changed") }
        let sources = plan.sources.compactMap { state.shard($0)?.value }
        let filling = state.fillingShards(of: operation.value)
        if let obstacle = Resharding.obstacle(to: filling, of: operation.value, plan, in: state) {
            throw .notServing(reason: obstacle)
        }
        let processes = Self.processes(of: sources + filling.map(\.value), in: state)
        let context = Deadline.after(Self.patience)
        do throws(ShardError) {
            let held = try await hold(sources, deadline: context)
            try await finish(filling.map(\.value), held, deadline: context)
            try await replace(id, held, processes)
        } catch {
            await release(sources)
            throw error
        }
        _ = try? await cache.refreshIfStale()
    }

    /// That the primaries are still those processes that are asked: one that was started anew knows nothing of a hold, and
    /// has thrown away what it had filled.
    private static func processes(of shards: [ShardRecord], in state: ClusterState) -> [ControlGuard] {
        Set(shards.map(\.primary)).sorted().map(state.livenessGuard)
    }

    // MARK: - Steps

    /// Stops the writes of all shards that are replaced.
    private func hold(_ sources: [ShardRecord], deadline: Deadline) async throws(ShardError) -> [Held] {
        let answers = await withTaskGroup(of: Answer.self) { group in
            for source in sources { group.addTask { await self.hold(source, deadline: deadline) } }
            var answers: [Answer] = []
            for await answer in group { answers.append(answer) }
            return answers
        }
        if let failure = answers.compactMap(\.failure).first { throw failure }
        return answers.compactMap(\.held)
    }

    private func hold(_ source: ShardRecord, deadline: Deadline) async -> Answer {
        do throws(ShardError) {
            let milliseconds = UInt32(Self.holdTime / .milliseconds(1))
            let answer = try await replica(source.id, source.primary).fill(
                .hold(milliseconds: milliseconds), context: RequestContext(epoch: source.epoch, deadline: deadline))
            guard case .held(let position, let revision) = answer else {
                return Answer(failure: .storage(reason: "a shard that is replaced gave another answer"))
            }
            return Answer(held: Held(shard: source, position: position, revision: Revision(revision)))
        } catch {
            return Answer(failure: error)
        }
    }

    /// Lets the new shards apply the last writes.
    private func finish(_ shards: [ShardRecord], _ held: [Held], deadline: Deadline) async throws(ShardError) {
        let ends = held.map { FillEnd(shard: $0.shard.id.number, position: $0.position) }
        let answers = await withTaskGroup(of: Answer.self) { group in
            for shard in shards {
                group.addTask {
                    do throws(ShardError) {
                        let context = RequestContext(epoch: shard.epoch, deadline: deadline)
                        _ = try await self.replica(shard.id, shard.primary).fill(.finish(ends), context: context)
                        return Answer()
                    } catch {
                        return Answer(failure: error)
                    }
                }
            }
            var answers: [Answer] = []
            for await answer in group { answers.append(answer) }
            return answers
        }
        if let failure = answers.compactMap(\.failure).first { throw failure }
    }

    private func replace(
        _ id: String, _ held: [Held], _ processes: [ControlGuard]
    ) async throws(ShardError) {
        let state = try await freshState()
        let revisions = Dictionary(held.map { ($0.shard.id, $0.revision) }, uniquingKeysWith: { $1 })
        guard let operation = state.operations[id],
            let (guards, mutations) = Resharding.cutOver(operation, sources: revisions, in: state)
        else { throw .notServing(reason: "the operation has changed") }
        let outcome: TransactionOutcome
        do throws(ControlStoreError) {
            outcome = try await cache.store.transaction(guards: guards + processes, mutations: mutations)
        } catch {
            // It may have happened. The sources find out when they write their records anew.
            throw .unreachable(reason: error.description)
        }
        guard case .committed = outcome else { throw .notServing(reason: "a record was changed meanwhile") }
    }

    private func release(_ sources: [ShardRecord]) async {
        await withTaskGroup(of: Void.self) { group in
            for source in sources {
                group.addTask {
                    let context = RequestContext(epoch: source.epoch, deadline: .after(Self.patience))
                    _ = try? await self.replica(source.id, source.primary).fill(.release, context: context)
                }
            }
        }
    }

    private func freshState() async throws(ShardError) -> ClusterState {
        do {
            return try await cache.refreshIfStale()
        } catch {
            throw .notServing(reason: error.description)
        }
    }
}

import Cluster
import DataModel

/// One try to put the new shards of an operation in the places of the old ones: what `CutOver` does.
final class SimulatedCutOver {
    private static let holdTime = 2_000_000
    private static let patience = 1_500_000

    private struct Held {
        let shard: ShardRecord
        let position: LogPosition
        let revision: Revision
    }

    private let id: String
    private unowned let node: SimulatedNode
    private let deadline: Int
    private var processes: [ControlGuard] = []
    private var sources: [ShardRecord] = []
    private var filling: [ShardRecord] = []
    private var done: (String?) -> Void = { _ in }

    init(_ operation: String, _ node: SimulatedNode) {
        id = operation
        self.node = node
        deadline = node.simulation.now + Self.patience
    }

    private var simulation: Simulation { node.simulation }

    /// - Parameter done: gets the reason when it failed.
    func perform(done: @escaping (String?) -> Void) {
        self.done = done
        node.refresh { [self] result in
            guard case .success(let state) = result, let operation = state.operations[id],
                case .reshard(let plan) = operation.value.kind,
                Resharding.conductor(of: operation.value, in: state) == node.id
            else { return done("the operation has changed") }
            let shards = state.fillingShards(of: operation.value)
            if let obstacle = Resharding.obstacle(to: shards, of: operation.value, plan, in: state) {
                return done(obstacle)
            }
            sources = plan.sources.compactMap { state.shard($0)?.value }
            filling = shards.map(\.value)
            processes = Set((sources + filling).map(\.primary)).sorted().map(state.livenessGuard)
            hold()
        }
    }

    private func fail(_ reason: String) {
        for source in sources {
            simulation.network.call(from: node, to: source.primary, timeout: Self.patience) { target, reply in
                target.withReplica(
                    of: source.id, { $0.release(epoch: source.epoch, reply: reply) }, else: { reply(.failure($0)) })
            } done: { (_: Result<Void, ShardError>) in
            }
        }
        done(reason)
    }

    /// Asks all at once; `body` gets the answers when the last one is there.
    private func all<Answer>(
        _ shards: [ShardRecord],
        _ ask: @escaping (SimulatedReplica, ShardRecord, @escaping (Result<Answer, ShardError>) -> Void) -> Void,
        then body: @escaping ([(ShardRecord, Answer)]) -> Void
    ) {
        var answers: [(ShardRecord, Answer)] = []
        var failure: ShardError?
        var missing = shards.count
        if shards.isEmpty { return body([]) }
        for shard in shards {
            simulation.network.call(from: node, to: shard.primary, timeout: max(deadline - simulation.now, 0)) {
                target, reply in
                target.withReplica(of: shard.id, { ask($0, shard, reply) }, else: { reply(.failure($0)) })
            } done: { [self] result in
                switch result {
                case .success(let answer): answers.append((shard, answer))
                case .failure(let error): failure = error
                }
                missing -= 1
                if missing > 0 { return }
                if let failure { fail(failure.description) } else { body(answers) }
            }
        }
    }

    private func hold() {
        all(sources) { replica, shard, reply in
            replica.hold(for: Self.holdTime, epoch: shard.epoch, reply: reply)
        } then: { [self] answers in
            finish(answers.map { Held(shard: $0, position: $1.0, revision: $1.1) })
        }
    }

    private func finish(_ held: [Held]) {
        let ends = Dictionary(uniqueKeysWithValues: held.map { ($0.shard.id, $0.position) })
        let deadline = deadline
        all(filling) { replica, _, reply in
            replica.finishFilling(ends, deadline: deadline, reply: reply)
        } then: { [self] _ in
            replace(held)
        }
    }

    private func replace(_ held: [Held]) {
        node.refresh { [self] result in
            let revisions = Dictionary(uniqueKeysWithValues: held.map { ($0.shard.id, $0.revision) })
            guard case .success(let state) = result, let operation = state.operations[id],
                let (guards, mutations) = Resharding.cutOver(operation, sources: revisions, in: state)
            else { return fail("the operation has changed") }
            let olds = sources.map { ControlKey.shard($0.id) }
            let isPlanted = simulation.plants(.replacesShardsWhateverBecameOfThem)
            let checked = isPlanted ? guards.filter { !olds.contains($0.key) } : guards
            node.transaction(checked + processes, mutations) { [self] result in
                guard case .success(.committed) = result else { return fail("a record was changed meanwhile") }
                simulation.trace("node \(node.id): operation \(id): shards were replaced")
                node.refresh { _ in }
                done(nil)
            }
        }
    }
}

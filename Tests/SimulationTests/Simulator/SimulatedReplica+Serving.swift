import Cluster
import DataModel

/// What a replica does with coordinators' calls.
extension SimulatedReplica {
    /// The replica's files at the moment of the read, and what is looked for in them.
    typealias ReadReply = (Result<SimulatedFiles, ShardError>) -> Void

    func read(epoch: Epoch, reply: @escaping ReadReply) {
        withServingRecord(epoch, { reply(.failure($0)) }) { [self] record throws(ShardError) in
            try ServingRight.check(epoch: epoch, against: record)
            process.after(simulation.random.within(10...simulation.profile.latency)) { [self] in
                guard let files = shard?.files else { return reply(.failure(.notServing(reason: "not open"))) }
                withServingRecord(epoch, { reply(.failure($0)) }) { (_) throws(ShardError) in reply(.success(files)) }
            }
        }
    }

    func write(
        _ operation: SimulatedWrite, epoch: Epoch, deadline: Int,
        reply: @escaping (Result<LogPosition, ShardError>) -> Void
    ) {
        let refuse = { (error: ShardError) in reply(.failure(error)) }
        withServingRecord(epoch, refuse) { [self] record throws(ShardError) in
            try ServingRight.check(epoch: epoch, against: record)
            guard let primary, !primary.session.isOver else { throw .notPrimary }
            guard primary.session.record.value.filling == nil else { throw .notServing(reason: "taking over") }
            primary.write(operation, deadline: deadline) { [self] result in
                guard case .success(let position) = result else { return reply(result) }
                acknowledge(position, epoch: epoch, refuse: refuse, reply: reply)
            }
        }
    }

    /// Where the shard is gone others have taken its place, with all that was acknowledged.
    private func acknowledge(
        _ position: LogPosition, epoch: Epoch, refuse: @escaping (ShardError) -> Void,
        reply: @escaping (Result<LogPosition, ShardError>) -> Void
    ) {
        let acknowledge = { [self] in
            simulation.judge.acknowledged(position, in: id, by: node.id)
            reply(.success(position))
        }
        stateForAnswers { [self] result in
            switch result {
            case .failure(let error): refuse(error)
            case .success(let state) where state.shard(id) == nil: acknowledge()
            case .success:
                withServingRecord(epoch, refuse) { [self] record throws(ShardError) in
                    guard record.primary == node.id else { throw .notPrimary }
                    acknowledge()
                }
            }
        }
    }

    /// Where asking the store is cheap it is asked each time; elsewhere primaries wait for what nodes know.
    private func stateForAnswers(done: @escaping (Result<ClusterState, ShardError>) -> Void) {
        if simulation.profile.storeIsLocal { node.refresh(done: done) } else { done(.success(node.cache)) }
    }

    /// What `body` throws is refused too.
    func withServingRecord(
        _ epoch: Epoch, _ refuse: @escaping (ShardError) -> Void,
        _ body: @escaping (ShardRecord) throws(ShardError) -> Void
    ) {
        let serve = { [self] (state: ClusterState, holdsLease: Bool) in
            do throws(ShardError) {
                try body(
                    try ServingRight.record(
                        of: id, on: node.id, in: state, holdsLease: holdsLease))
            } catch {
                refuse(error)
            }
        }
        if simulation.plants(.servesAfterTheLease) { return serve(node.cache, true) }
        // Where asking the store is cheap it is asked each time; elsewhere primaries wait for what nodes know.
        if !simulation.profile.storeIsLocal, ServingRight.suffices(node.cache, for: epoch, of: id) {
            return serve(node.cache, node.holdsLease)
        }
        node.refresh { [self] result in
            switch result {
            case .failure(let error): refuse(error)
            case .success(let state): serve(state, node.holdsLease)
            }
        }
    }
}

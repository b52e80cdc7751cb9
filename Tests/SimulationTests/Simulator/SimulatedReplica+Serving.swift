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
            primary.write(operation, deadline: deadline) { [self] result in
                guard case .success(let position) = result else { return reply(result) }
                withServingRecord(epoch, refuse) { [self] record throws(ShardError) in
                    guard record.primary == node.id else { throw .notPrimary }
                    simulation.judge.acknowledged(position, by: node.id)
                    reply(.success(position))
                }
            }
        }
    }

    /// What `body` throws is refused too.
    private func withServingRecord(
        _ epoch: Epoch, _ refuse: @escaping (ShardError) -> Void,
        _ body: @escaping (ShardRecord) throws(ShardError) -> Void
    ) {
        let serve = { [self] (state: ClusterState, holdsLease: Bool) in
            do throws(ShardError) {
                try body(
                    try ServingRight.record(
                        of: simulation.shard, on: node.id, in: state, holdsLease: holdsLease))
            } catch {
                refuse(error)
            }
        }
        if simulation.plants(.servesAfterTheLease) { return serve(node.cache, true) }
        // Where asking the store is cheap it is asked each time; elsewhere primaries wait for what nodes know.
        if !simulation.profile.storeIsLocal, ServingRight.suffices(node.cache, for: epoch, of: simulation.shard) {
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

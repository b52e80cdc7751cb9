import Cluster
import DataModel

/// What a backup does with its primary's calls.
extension SimulatedReplica {
    typealias Reply = (Result<BackupState, ShardError>) -> Void

    func openReplica(epoch: Epoch, deadline: Int, reply: @escaping Reply) {
        admit(epoch, reply) { [self] in raiseFence(epoch, deadline: deadline, reply: reply) }
    }

    private func raiseFence(_ epoch: Epoch, deadline: Int, reply: @escaping Reply) {
        var passage = fence.raise(to: epoch)
        if simulation.plants(.answersWhileOlderWritesAreUnderWay) { passage = .open }
        switch passage {
        case .open: reply(backupState())
        case .refuse(let error): reply(.failure(error))
        case .wait:
            guard simulation.now < deadline else { return reply(.failure(.notServing(reason: "busy"))) }
            process.after(2_000) { [self] in raiseFence(epoch, deadline: deadline, reply: reply) }
        }
    }

    func replicate(_ records: [SimulatedRecord], after previous: LogPosition, epoch: Epoch, reply: @escaping Reply) {
        admit(epoch, reply) { [self] in
            if !skipsEpochs, let refusal = fence.begin(in: epoch) { return reply(.failure(refusal)) }
            let done = { [self] (result: Result<BackupState, ShardError>) in
                if !skipsEpochs { fence.end(in: epoch) }
                reply(result)
            }
            guard let shard else { return done(.failure(.notServing(reason: "not open"))) }
            switch append(records, after: previous, to: shard) {
            case .refuse(let error): done(.failure(error))
            case .apply(let known):
                let news = Array(records.dropFirst(known))
                if news.isEmpty { return done(backupState()) }
                shard.add(.apply(news)) { [self] result in
                    if case .failure(let error) = result { done(.failure(error)) } else { done(backupState()) }
                }
            }
        }
    }

    private func append(
        _ records: [SimulatedRecord], after previous: LogPosition, to shard: SimulatedShard
    ) -> BackupRole.Append {
        if simulation.plants(.ignoresTheEpochOfThePreviousEntry) {
            let known = Int(shard.position.sequence.rawValue) - Int(previous.sequence.rawValue)
            return known < 0 ? .refuse(.invalid(reason: "gap")) : .apply(dropFirst: min(known, records.count))
        }
        let batch = records.map { LogRecord(position: $0.position, operation: .delete([])) }
        return BackupRole.append(batch, after: previous, at: shard.position)
    }

    func beginSnapshot(_ transfer: Int, epoch: Epoch, reply: @escaping (Result<Void, ShardError>) -> Void) {
        admitReplacement(epoch, { reply(.failure($0)) }) { [self] in
            self.transfer = transfer
            reply(.success(()))
        }
    }

    func finishSnapshot(_ transfer: Int, files: SimulatedFiles, epoch: Epoch, reply: @escaping Reply) {
        admitReplacement(epoch, { reply(.failure($0)) }) { [self] in
            // The files are synced and checked.
            process.after(simulation.random.within(1_000...simulation.profile.fsync * 2)) { [self] in
                guard self.transfer == transfer else { return reply(.failure(.invalid(reason: "no such transfer"))) }
                if node.diskIsFull { return reply(.failure(.outOfSpace(reason: "full"))) }
                if let refusal = fence.beginReplacement(in: epoch) { return reply(.failure(refusal)) }
                let refuse = { [self] (error: ShardError) in
                    fence.endReplacement()
                    reply(.failure(error))
                }
                admitReplacement(epoch, refuse) { [self] in
                    self.transfer = nil
                    install(files) { [self] in
                        fence.endReplacement()
                        reply(backupState())
                    }
                }
            }
        }
    }

    private func install(_ files: SimulatedFiles, done: @escaping () -> Void) {
        let swap = { [self] in
            process.after(simulation.random.within(500...20_000)) { [self] in
                node.files[id] = files
                simulation.judge.figures.snapshots += 1
                simulation.trace(
                    "node \(node.id): a snapshot of shard \(id.number) at \(files.position.sequence) is in place")
                open(done: done)
            }
        }
        if let shard = takeShard(leaving: .opening) { shard.close(done: swap) } else { swap() }
    }

    func backupState() -> Result<BackupState, ShardError> {
        guard let shard else { return .failure(.notServing(reason: "not open")) }
        return .success(BackupState(position: shard.position, unindexedRows: 0))
    }

    // MARK: - Who may change the replica

    private var skipsEpochs: Bool { simulation.plants(.ignoresEpochs) }

    private func admit(_ epoch: Epoch, _ reply: @escaping Reply, _ body: @escaping () -> Void) {
        admit(epoch, refuse: { reply(.failure($0)) }, body)
    }

    private func admit(_ epoch: Epoch, refuse: @escaping (ShardError) -> Void, _ body: @escaping () -> Void) {
        if skipsEpochs { return body() }
        let shard = id
        switch BackupRole.admit(epoch: epoch, to: shard, on: node.id, in: node.cache, isFresh: false) {
        case .accept: body()
        case .refuse(let error): refuse(error)
        case .refreshFirst:
            node.refresh { [self] result in
                switch result {
                case .failure(let error): refuse(error)
                case .success(let current):
                    let admission = BackupRole.admit(
                        epoch: epoch, to: shard, on: node.id, in: current, isFresh: true)
                    if case .refuse(let error) = admission { refuse(error) } else { body() }
                }
            }
        }
    }

    private func admitReplacement(
        _ epoch: Epoch, _ refuse: @escaping (ShardError) -> Void, _ body: @escaping () -> Void
    ) {
        node.refresh { [self] result in
            switch result {
            case .failure(let error): refuse(error)
            case .success(let current):
                admit(epoch, refuse: refuse) { [self] in
                    let refusal = BackupRole.refusalOfReplacement(of: id, on: node.id, in: current)
                    if let refusal { refuse(refusal) } else { body() }
                }
            }
        }
    }
}

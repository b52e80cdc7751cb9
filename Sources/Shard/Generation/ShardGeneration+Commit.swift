internal import DataModel
internal import LMDB
internal import Logging
internal import Synchronization
internal import VectorIndex

extension ShardGeneration {
    /// Commits the writes of a group in one transaction and answers them. On the writer's queue only.
    ///
    /// - Parameter retention: the sequence after which a replica still needs the log.
    func commit(_ group: [WriteQueue.Entry], retention: SequenceNumber?) {
        do {
            if group.contains(where: \.request.hasName) { try requests.loadIfNeeded(from: store) }
            let answers = try commit { commit, transaction in
                let answers = try group.map { try perform($0.request, in: &commit, transaction) }
                try commit.trimLog(needed: retention, options: options, transaction)
                try commit.trimRequests(transaction)
                return answers
            }
            for (entry, answer) in zip(group, answers) { entry.continuation.resume(returning: answer) }
        } catch {
            let failure = ShardError(storage: error)
            logger.error("a commit failed", metadata: ["shard": "\(files.folder)", "error": "\(failure)"])
            for entry in group { entry.continuation.resume(returning: .failure(failure)) }
        }
    }

    /// Runs `body` in a transaction; what it did is durable and visible when this returns, and undone when it throws.
    func commit<Answer>(
        _ body: (inout GroupCommit, borrowing WriteTransaction) throws -> Answer
    ) throws -> Answer {
        let (state, epochs, view) = current.withLock { ($0.state, $0.epochs, $0.view) }
        // The catalog changes where commits are made only.
        let payloadIndexes = try store.environment.read { try store.loadPayloadIndexes($0) }
        var commit = GroupCommit(
            store: store, schema: schema, vectors: vectors, state: state, epochs: epochs, deleted: view.deleted,
            payloadIndexes: payloadIndexes, requests: requests)
        let answer = try store.environment.write { transaction in
            let answer = try body(&commit, transaction)
            try commit.finish(transaction)
            return answer
        }
        requests.add(commit.noted)
        mapFinishedBlocks(commit.finishedBlocks)
        publish(commit)
        return answer
    }

    /// Lets readers use the stored blocks. A block that cannot be mapped stays in memory: nothing is lost by it.
    private func mapFinishedBlocks(_ blocks: Range<Int>) {
        guard !blocks.isEmpty else { return }
        do {
            try store.environment.read { transaction in
                for rows in vectors { try rows.map(blocks: blocks, from: store.vectors, transaction) }
            }
        } catch {
            logger.warning("vector blocks stay in memory", metadata: ["shard": "\(files.folder)", "error": "\(error)"])
        }
    }

    /// - Returns: the answer of one write. One that is refused does not spoil the group: nothing was applied for it.
    private func perform(
        _ request: WriteQueue.Request, in commit: inout GroupCommit, _ transaction: borrowing WriteTransaction
    ) throws -> Result<WriteQueue.Answer, ShardError> {
        let records: [LogRecord]
        switch request {
        case .append(let write, let epoch, let matching):
            guard commit.state.position.next(in: epoch) != nil else {
                return .failure(.staleEpoch(current: commit.state.position.epoch))
            }
            switch try work(of: write, in: commit, transaction) {
            case .settled(let result):
                return .success(.init(outcome: WriteOutcome(result, at: commit.state.position)))
            case .part(let part, let extent):
                records = try self.records(of: part, extent, epoch, matching, in: commit, transaction)
            }
        case .apply(let given):
            if given.contains(where: { if case .deleteMatching = $0.operation { true } else { false } }) {
                return .failure(.invalid(reason: "a primary sent a delete by filter, which it should have resolved"))
            }
            records = given
        }
        var expected = commit.state.position
        for record in records {
            guard expected.isFollowed(by: record.position) else {
                return .failure(.invalid(reason: "record \(record.position) does not follow \(expected)"))
            }
            expected = record.position
        }
        for record in records { try commit.apply(record, transaction) }
        let position = commit.state.position
        return .success(.init(records: records, outcome: WriteOutcome(.success(position.sequence), at: position)))
    }

    private enum Work {
        /// Nothing is to be done.
        case settled(Result<SequenceNumber, ShardError>)
        case part(WriteRequest, WriteExtent)
    }

    /// What is to be done of a write: not what was done before, and nothing when a condition does not hold.
    private func work(
        of write: WriteRequest, in commit: GroupCommit, _ transaction: borrowing WriteTransaction
    ) throws -> Work {
        let former = write.stamp.flatMap { commit.remembered($0.name) }
        let extent = WriteExtent(
            wanted: write.stamp?.scope, done: former?.stamp.scope, virtualShards: schema.virtualShards)
        if let former {
            guard former.stamp.digest == write.stamp?.digest else { return .settled(.failure(.requestNameReused)) }
            if former.stamp.scope == nil { return .settled(.success(former.sequence)) }
        }
        guard let part = extent.part(of: write) else { return .settled(.success(former?.sequence ?? .zero)) }
        if let conflict = try commit.conflict(with: part.conditions, transaction) {
            return .settled(.failure(.versionConflict(conflict)))
        }
        return .part(part, extent)
    }

    /// The write as the log gets it. Of several records the last has the name: a replica that has only some of them has
    /// not done the write.
    private func records(
        of write: WriteRequest, _ extent: WriteExtent, _ epoch: Epoch, _ matching: MatchingRows?,
        in commit: GroupCommit, _ transaction: borrowing WriteTransaction
    ) throws -> [LogRecord] {
        var position = commit.state.position
        let operations = try commit.resolved(write.operation, extent, matching, in: files.number, transaction)
        return operations.enumerated().map { index, operation in
            position = LogPosition(sequence: position.sequence.next, epoch: epoch)
            let isLast = index == operations.count - 1
            return LogRecord(position: position, operation: operation, stamp: isLast ? write.stamp : nil)
        }
    }

    private func publish(_ commit: GroupCommit) {
        // What readers of the present view may hold goes with it.
        let garbage: [any Sendable] = vectors.compactMap { $0.column.takeRetired() }
        noteWrite()
        current.withLock { current in
            let next = ReadView(state: commit.state, deleted: commit.deletedSets, indexPin: current.view.indexPin)
            current.view.supersede(by: next, garbage: garbage)
            current.view = next
            current.state = commit.state
            current.epochs = commit.epochs
            if let layout = commit.newLayout { current.layout = layout }
        }
        indexing.submit(self)
    }
}

import Cluster
package import DataModel

extension Coordinator {
    /// After this long without an answer the coordinator looks whether the shard still has the same primary: a stopped
    /// process keeps its connections open and answers nothing.
    static let primaryWatchDelay: Duration = .milliseconds(500)

    package func upsert(
        _ points: [Point], into collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        metrics.countWrittenPoints(points.count)
        return try await metrics.timing(metrics.writeTime) { () throws(DatabaseError) in
            let table = try await routing(of: collection)
            try SchemaCheck(config: table.collection.value.config).check(points)
            let parts = try ShardSplit.split(points, table: table) { $0.id }
            return try await write(
                parts.map { ($0.shard, .upsert($0.elements)) }, to: collection, deadline: deadline)
        }
    }

    package func delete(
        _ ids: [PointID], from collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        try await metrics.timing(metrics.writeTime) { () throws(DatabaseError) in
            let table = try await routing(of: collection)
            let parts = try ShardSplit.split(ids, table: table) { $0 }
            return try await write(
                parts.map { ($0.shard, .delete($0.elements)) }, to: collection, deadline: deadline)
        }
    }

    package func delete(
        matching filter: Filter, from collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        try await metrics.timing(metrics.writeTime) { () throws(DatabaseError) in
            let shards = try await routing(of: collection).shards
            return try await write(
                shards.map { ($0.value.id, .deleteMatching(filter)) }, to: collection, deadline: deadline)
        }
    }

    /// - Returns: the highest sequence among the shards.
    private func write(
        _ operations: [(ShardID, WriteOperation)], to collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        guard !operations.isEmpty else { return .zero }
        let sequences = try await settled(operations) { (shard, operation) throws(DatabaseError) in
            try await self.write(operation, shard: shard, of: collection, deadline: deadline)
        }
        return sequences.max() ?? .zero
    }

    /// Runs all writes to their end: one shard's failure shall not cut off another's write half-way.
    private func settled(
        _ operations: [(ShardID, WriteOperation)],
        _ body: @escaping @Sendable (ShardID, WriteOperation) async throws(DatabaseError) -> SequenceNumber
    ) async throws(DatabaseError) -> [SequenceNumber] {
        let results = try await concurrently(operations) { (operation) throws(DatabaseError) in
            do throws(DatabaseError) {
                return Result<SequenceNumber, DatabaseError>.success(try await body(operation.0, operation.1))
            } catch {
                return .failure(error)
            }
        }
        var sequences: [SequenceNumber] = []
        for result in results {
            switch result {
            case .success(let sequence): sequences.append(sequence)
            case .failure(let error):
                throw results.count == 1 ? error : error.addingNote("other shards may have applied their part")
            }
        }
        return sequences
    }

    /// Sends one shard's write to its primary, again when the role has moved or the connection broke: writing the same
    /// points twice is the same as writing them once.
    private func write(
        _ operation: WriteOperation, shard: ShardID, of collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        var backoff = Backoff()
        var state = cache.current
        while true {
            guard let record = state.shard(shard)?.value else { throw state.error(missing: shard, of: collection) }
            let failure: ShardError
            if state.isLive(record.primary) {
                do throws(ShardError) {
                    return try await attempt(operation, record: record, deadline: deadline).sequence
                } catch {
                    failure = error
                }
            } else {
                failure = .notServing(reason: "primary \(record.primary) is down")
            }
            // A damaged primary hands its role to another in-sync replica, if there is one.
            let hasSuccessor = record.inSync.contains { $0 != record.primary && state.isLive($0) }
            guard failure.isTransient || (failure.isDamage && hasSuccessor), await backoff.pause(until: deadline) else {
                throw DatabaseError(failure, collection: collection, shard: shard.number)
            }
            metrics.countRetriedWrite()
            state = try await stateForAnswers()
        }
    }

    /// One try at one primary; given up early as `notPrimary` when the role moves elsewhere while there is no answer.
    private func attempt(
        _ operation: WriteOperation, record: ShardRecord, deadline: Deadline
    ) async throws(ShardError) -> WriteReceipt {
        let service = router.service(for: record.id, on: record.primary)
        let context = RequestContext(epoch: record.epoch, deadline: deadline)
        let cache = cache
        let result: Result<WriteReceipt, ShardError> = await withTaskGroup(
            of: Result<WriteReceipt, ShardError>?.self
        ) { group in
            group.addTask {
                do throws(ShardError) {
                    return .success(try await service.write(operation, context: context))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                guard (try? await Task.sleep(for: Self.primaryWatchDelay)) != nil else { return nil }
                let moved = await cache.wait(deadline: deadline) { state in
                    guard let current = state.shard(record.id)?.value else { return true }
                    return current.primary != record.primary
                }
                return moved == nil ? nil : .failure(.notPrimary)
            }
            while let next = await group.next() {
                guard let result = next else { continue }
                group.cancelAll()
                return result
            }
            return .failure(.deadlineExceeded)
        }
        return try result.get()
    }
}

extension DatabaseError {
    fileprivate func addingNote(_ note: String) -> DatabaseError {
        switch self {
        case .unavailable(let reason): .unavailable(reason: "\(reason); \(note)")
        case .overloaded(let reason): .overloaded(reason: "\(reason); \(note)")
        case .outOfSpace(let reason): .outOfSpace(reason: "\(reason); \(note)")
        case .deadlineExceeded(let reason): .deadlineExceeded(reason: "\(reason); \(note)")
        case .internalFailure(let reason): .internalFailure(reason: "\(reason); \(note)")
        case .invalid(let reason): .invalid(reason: "\(reason); \(note)")
        case .collectionNotFound, .collectionExists, .pointNotFound, .operationNotFound, .snapshotNotFound: self
        }
    }
}

import Cluster
package import DataModel

extension Coordinator {
    /// After this long without an answer the coordinator looks whether the shard still has the same primary: a stopped
    /// process keeps its connections open and answers nothing.
    static let primaryWatchDelay: Duration = .milliseconds(500)

    package func write(
        _ request: WriteRequest, to collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        if case .upsert(let points) = request.operation { metrics.countWrittenPoints(points.count) }
        return try await metrics.timing(metrics.writeTime) { () throws(DatabaseError) in
            let table = try await routing(of: collection)
            if case .upsert(let points) = request.operation {
                try SchemaCheck(config: table.collection.value.config).check(points)
            }
            return try await write(try parts(of: request, table: table), to: collection, deadline: deadline)
        }
    }

    /// What is one shard's of a write.
    private struct Part: Sendable {
        var shard: ShardID
        /// What the shard has, so what the part may touch.
        var virtualShards: [VirtualShardRange]
        var request: WriteRequest
    }

    /// The write of each shard, all under one name: whatever happens to a message on its way, a shard does its part
    /// once.
    private func parts(of request: WriteRequest, table: RoutingTable) throws(DatabaseError) -> [Part] {
        let stamp = request.stamp ?? .random()
        let operations: [(shard: ShardID, operation: WriteOperation)] =
            switch request.operation {
            case .upsert(let points):
                try ShardSplit.split(points, table: table) { $0.id }.map { ($0.shard, .upsert($0.elements)) }
            case .delete(let ids):
                try ShardSplit.split(ids, table: table) { $0 }.map { ($0.shard, .delete($0.elements)) }
            case .deleteMatching(let filter):
                table.shards.map { ($0.value.id, .deleteMatching(filter)) }
            case .adopt: throw .internalFailure(reason: "no client adopts points")
            }
        let conditions = try ShardSplit.split(request.conditions, table: table) { $0.id }
        return operations.map { shard, operation in
            let own = conditions.first { $0.shard == shard }?.elements ?? []
            return Part(
                shard: shard,
                virtualShards: table.shards.first { $0.value.id == shard }?.value.virtualShards ?? [],
                request: WriteRequest(operation, conditions: own, stamp: stamp))
        }
    }

    /// - Returns: the highest sequence among the shards.
    private func write(
        _ parts: [Part], to collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        guard !parts.isEmpty else { return .zero }
        // All to their end: one shard's failure shall not cut off another's write half-way.
        let results = try await concurrently(parts) { (part) throws(DatabaseError) in
            do throws(DatabaseError) {
                let sequence = try await self.writeThrough(part, of: collection, deadline: deadline)
                return Result<SequenceNumber, DatabaseError>.success(sequence)
            } catch {
                return .failure(error)
            }
        }
        return try Self.outcome(of: results, shards: parts.map(\.shard.number))
    }

    /// What the client is told of the shards' answers.
    private static func outcome(
        of results: [Result<SequenceNumber, DatabaseError>], shards: [ShardNumber]
    ) throws(DatabaseError) -> SequenceNumber {
        var sequence = SequenceNumber.zero
        var conflict = WriteConflict(refusals: [])
        for (result, shard) in zip(results, shards) {
            switch result {
            case .success(let own):
                sequence = max(sequence, own)
                conflict.applied.append(shard)
            case .failure(.writeConflict(let own)):
                conflict.refusals += own.refusals
                conflict.applied += own.applied
            case .failure(let error):
                throw results.count == 1 ? error : error.addingNote("other shards may have applied their part")
            }
        }
        guard conflict.refusals.isEmpty else { throw .writeConflict(conflict) }
        return sequence
    }

    /// Sends one shard's write to it, or, when it was split or merged, to those that have taken its place. They know by its
    /// name what the former shard did of it, and by its scope other parts that they get.
    private func writeThrough(
        _ part: Part, of collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        do throws(DatabaseError) {
            return try await write(part.request, shard: part.shard, of: collection, deadline: deadline)
        } catch {
            guard let table = try await routing(of: collection, without: part.shard) else { throw error }
            var moved = part.request
            // What came here for a former shard's virtual shards is for those of them that this one had: others may meet
            // the rest where both end up.
            let owned = VirtualShardSet(part.virtualShards)
            let scope = moved.stamp?.scope.map(owned.intersection) ?? owned
            moved.stamp?.scope = scope
            // A delete by filter is for all shards: those beside do it, or have done it, by their own part.
            let heirs = try parts(of: moved, table: table).filter {
                !VirtualShardSet($0.virtualShards).intersection(scope).isEmpty
            }
            return try await write(heirs, to: collection, deadline: deadline)
        }
    }

    /// Sends one shard's write to its primary, again when the role has moved or the connection broke: by its name the
    /// shard knows it again.
    private func write(
        _ request: WriteRequest, shard: ShardID, of collection: String, deadline: Deadline
    ) async throws(DatabaseError) -> SequenceNumber {
        try await askPrimary(
            of: shard, in: collection, deadline: deadline, patience: deadline, retrying: metrics.countRetriedWrite
        ) { (service, context) throws(ShardError) in try await service.write(request, context: context).sequence }
    }

    /// Asks a shard's primary, again when the role has moved or the connection broke.
    ///
    /// - Parameters:
    ///   - deadline: of each try.
    ///   - patience: until when it is tried again.
    /// - Throws: `unavailable`, which names the shard, when no primary answered in time; what the primary refused.
    func askPrimary<Answer: Sendable>(
        of shard: ShardID, in collection: String, deadline: Deadline, patience: Deadline,
        retrying countRetry: () -> Void, _ work: @escaping Read<Answer>
    ) async throws(DatabaseError) -> Answer {
        var backoff = Backoff()
        var state = cache.current
        while true {
            guard let record = state.shard(shard)?.value else { throw state.error(missing: shard, of: collection) }
            let failure: ShardError
            if state.isLive(record.primary) {
                do throws(ShardError) {
                    return try await attempt(at: record, deadline: deadline, work)
                } catch {
                    failure = error
                }
            } else {
                failure = .notServing(reason: "primary \(record.primary) is down")
            }
            // A damaged primary hands its role to another in-sync replica, if there is one.
            let hasSuccessor = record.inSync.contains { $0 != record.primary && state.isLive($0) }
            guard failure.isTransient || (failure.isDamage && hasSuccessor), await backoff.pause(until: patience) else {
                throw DatabaseError(failure, collection: collection, shard: shard.number)
            }
            countRetry()
            state = try await stateForAnswers()
        }
    }

    /// One try at one primary; given up early as `notPrimary` when the role moves elsewhere while there is no answer.
    func attempt<Answer: Sendable>(
        at record: ShardRecord, deadline: Deadline, _ work: @escaping Read<Answer>
    ) async throws(ShardError) -> Answer {
        let service = router.service(for: record.id, on: record.primary)
        let context = RequestContext(epoch: record.epoch, deadline: deadline)
        let cache = cache
        let result: Result<Answer, ShardError> = await withTaskGroup(
            of: Result<Answer, ShardError>?.self
        ) { group in
            group.addTask {
                do throws(ShardError) {
                    return .success(try await work(service, context))
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
        case .requestIDReused(let reason): .requestIDReused(reason: "\(reason); \(note)")
        case .writeConflict, .collectionNotFound, .collectionExists, .pointNotFound, .operationNotFound,
            .snapshotNotFound:
            self
        }
    }
}

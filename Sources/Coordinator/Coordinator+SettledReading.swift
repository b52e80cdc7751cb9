import Cluster
import DataModel

extension Coordinator {
    /// Reads from one shard's primary alone, which answers when all that it saw is acknowledged.
    ///
    /// - Throws: `unavailable`, which names the shard, when no primary answered in time.
    func readSettled<Answer: Sendable>(
        _ shard: ShardID, _ read: ShardRead<Answer>
    ) async throws(DatabaseError) -> Answer {
        let (collection, deadline, patience) = (read.collection.name, read.shardDeadline, read.patience)
        var backoff = Backoff()
        var state = cache.current
        while true {
            guard let record = state.shard(shard)?.value else { throw state.error(missing: shard, of: collection) }
            let failure: ShardError
            if state.isLive(record.primary) {
                do throws(ShardError) {
                    return try await attempt(at: record, deadline: deadline) { (service, context) throws(ShardError) in
                        try await read.ask(service, shard, context)
                    }
                } catch {
                    failure = error
                }
            } else {
                failure = .notServing(reason: "primary \(record.primary) is down")
            }
            let hasSuccessor = record.inSync.contains { $0 != record.primary && state.isLive($0) }
            guard failure.isTransient || (failure.isDamage && hasSuccessor), await backoff.pause(until: patience) else {
                throw DatabaseError(failure, collection: collection, shard: shard.number)
            }
            metrics.countRetriedRead()
            state = try await stateForAnswers()
        }
    }
}

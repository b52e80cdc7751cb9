import Cluster
import DataModel

extension Coordinator {
    /// Reads from one shard's primary alone, which answers when all that it saw is acknowledged.
    ///
    /// - Throws: `unavailable`, which names the shard, when no primary answered in time.
    func readSettled<Answer: Sendable>(
        _ shard: ShardID, _ read: ShardRead<Answer>
    ) async throws(DatabaseError) -> Answer {
        try await askPrimary(
            of: shard, in: read.collection.name, deadline: read.shardDeadline, patience: read.patience,
            retrying: metrics.countRetriedRead
        ) { (service, context) throws(ShardError) in try await read.ask(service, shard, context) }
    }
}

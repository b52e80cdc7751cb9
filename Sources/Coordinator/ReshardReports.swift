package import DataModel

/// Which shards to split or merge, and how.
package struct ReshardRequest: Sendable, Codable, Equatable {
    package enum Change: Sendable, Codable, Equatable {
        /// Divides a shard, or with nil every shard, into parts.
        case split(ShardNumber?, into: Int)
        /// Puts these shards together.
        case merge([ShardNumber])
        /// Merges neighbours until so many shards are left.
        case mergeTo(Int)
    }

    package var collection: String
    package var change: Change
    /// Of each split or merge; nil for as fast as the nodes' other work allows.
    package var maxBytesPerSecond: UInt64?

    package init(collection: String, change: Change, maxBytesPerSecond: UInt64? = nil) {
        self.collection = collection
        self.change = change
        self.maxBytesPerSecond = maxBytesPerSecond
    }
}

/// The splits or merges that a request comes to, one after another.
package struct ReshardReport: Sendable, Codable, Equatable {
    package struct Step: Sendable, Codable, Equatable {
        package var from: [ShardNumber]
        /// What each new shard will own.
        package var into: [[VirtualShardRange]]
        package var points: UInt64
        package var bytes: UInt64
        package var reason: String

        package init(
            from: [ShardNumber], into: [[VirtualShardRange]], points: UInt64, bytes: UInt64, reason: String
        ) {
            self.from = from
            self.into = into
            self.points = points
            self.bytes = bytes
            self.reason = reason
        }
    }

    package var collection: String
    package var steps: [Step]
    /// What was recorded; empty for a plan alone.
    package var operations: [OperationStatus]

    package init(collection: String, steps: [Step], operations: [OperationStatus] = []) {
        self.collection = collection
        self.steps = steps
        self.operations = operations
    }
}

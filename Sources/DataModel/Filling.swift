/// A point with the sequence of the write that last touched it in its physical shard.
package struct VersionedPoint: Sendable, Equatable {
    package var point: Point
    package var version: SequenceNumber

    package init(point: Point, version: SequenceNumber) {
        self.point = point
        self.version = version
    }
}

/// Points of a shard in order of virtual shards and ids, as they are at one moment.
package struct PointPage: Sendable, Equatable {
    package var points: [VersionedPoint]
    /// Where the next page begins; nil at the end.
    package var next: [UInt8]?
    /// The last write that is committed at that moment.
    package var sequence: SequenceNumber

    package init(points: [VersionedPoint], next: [UInt8]?, sequence: SequenceNumber) {
        self.points = points
        self.next = next
        self.sequence = sequence
    }
}

/// Writes under names that a shard has done, in their order.
package struct RequestPage: Sendable, Equatable {
    package var requests: [RememberedWrite]
    /// What comes after this one is the next page; nil at the end.
    package var next: SequenceNumber?

    package init(requests: [RememberedWrite], next: SequenceNumber?) {
        (self.requests, self.next) = (requests, next)
    }
}

/// What became of the points of some virtual shards in a stretch of a shard's log.
package struct LogPage: Sendable, Equatable {
    /// Each point once, as the last write of the stretch left it.
    package var points: [VersionedPoint]
    /// Ids whose points were deleted last, with the sequences of these writes.
    package var deleted: [DeletedPoint]
    /// The writes that have names, whatever points they touched.
    package var requests: [RememberedWrite]
    /// The end of the stretch.
    package var position: LogPosition
    /// The last write that every in-sync replica has; the log is read up to there.
    package var acknowledged: SequenceNumber

    package struct DeletedPoint: Sendable, Equatable {
        package var id: PointID
        package var sequence: SequenceNumber

        package init(id: PointID, sequence: SequenceNumber) {
            self.id = id
            self.sequence = sequence
        }
    }

    package init(
        points: [VersionedPoint], deleted: [DeletedPoint], requests: [RememberedWrite], position: LogPosition,
        acknowledged: SequenceNumber
    ) {
        self.points = points
        self.deleted = deleted
        self.requests = requests
        self.position = position
        self.acknowledged = acknowledged
    }

    package var isEmpty: Bool { points.isEmpty && deleted.isEmpty && requests.isEmpty }
}

/// What is asked of a primary in a split or merge: of one whose shard is to be replaced, or, `finish`, of a new one's.
package enum FillRequest: Sendable, Equatable {
    /// Where the log is to be followed from; it is kept from there on, as long as there are requests.
    case begin(reader: ShardNumber)
    /// Points of the virtual shards, in ascending ranges, from a place that a former page named.
    case points(reader: ShardNumber, [VirtualShardRange], from: [UInt8]?)
    /// The named writes after one, up to another.
    case requests(after: SequenceNumber, through: SequenceNumber)
    /// What was written after the position; what is before it is no longer needed.
    case log(reader: ShardNumber, [VirtualShardRange], after: LogPosition)
    /// Take no write until the time has passed, or `release` came, or the shard's record was changed.
    case hold(milliseconds: UInt32)
    case release
    /// Apply everything up to these positions of the shards that are to be replaced.
    case finish([FillEnd])
}

/// Where the log of a shard ends that is to be replaced.
package struct FillEnd: Sendable, Equatable {
    package var shard: ShardNumber
    package var position: LogPosition

    package init(shard: ShardNumber, position: LogPosition) {
        self.shard = shard
        self.position = position
    }
}

package enum FillAnswer: Sendable, Equatable {
    case begun(LogPosition)
    case points(PointPage)
    case requests(RequestPage)
    case log(LogPage)
    /// The last write, and the revision of the shard's record: at this one nothing is written until the hold ends.
    case held(LogPosition, revision: UInt64)
    case released
    /// The last write of the new shard, which every in-sync replica of it has.
    case finished(LogPosition)
}

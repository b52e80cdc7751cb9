package import DataModel
internal import LMDB
internal import Synchronization

/// A shard that a split or merge fills from others. Until it has nearly everything it has no log, waits for no disk, and
/// leaves the processors to everybody else: what a crash leaves of it is thrown away.
extension Shard {
    /// Whether it has no log yet.
    package var isFilling: Bool { generation.isFilling.load(ordering: .relaxed) }

    /// Call it before anything else is done with the shard, which must be empty.
    package func beginFilling() throws(ShardError) {
        try storing {
            guard position == .start, generation.view.slotCount == 0 else {
                throw ShardError.storage(reason: "a shard that is to be filled is not empty")
            }
            try writer.sync {
                generation.isFilling.store(true, ordering: .relaxed)
                try generation.store.environment.setSyncsCommits(false)
                try generation.index.environment.setSyncsCommits(false)
            }
        }
    }

    /// Takes in points and deletions of others. What is older than what is here changes nothing: pages overlap.
    package func fill(_ points: [VersionedPoint], deleting deleted: [LogPage.DeletedPoint]) async throws(ShardError) {
        try await onFillingThread { generation in
            try generation.commit { commit, transaction in
                for point in points { try commit.adoptIfNewer(point, transaction) }
                for deletion in deleted { try commit.deleteIfOlder(deletion, transaction) }
            }
        }
    }

    /// Makes everything durable; from here on there is a log, which begins behind `position`, and the shard is like others.
    package func endFilling(at position: LogPosition) async throws(ShardError) {
        let syncs = options.durability == .commit
        // The graph first, and not on the writer's queue: nobody waits for this.
        try await onFillingThread { generation in
            generation.checkpointAll()
            try generation.index.environment.sync()
            try generation.index.environment.setSyncsCommits(true)
            try generation.store.environment.sync()
            try generation.store.environment.setSyncsCommits(syncs)
            try generation.commit { commit, transaction in try commit.begin(at: position, transaction) }
            try generation.store.environment.sync()
            generation.isFilling.store(false, ordering: .relaxed)
            generation.indexing.submit(generation)
        }
    }

    /// Runs `body` on the filling thread, at a moment at which no write is being committed.
    private func onFillingThread(
        _ body: @escaping @Sendable (ShardGeneration) throws -> Void
    ) async throws(ShardError) {
        let result: Result<Void, ShardError> = await runtime.filling.pool.run {
            guard !self.isClosed.load(ordering: .acquiring) else {
                return .failure(.notServing(reason: "the shard is closed"))
            }
            return Result { () throws(ShardError) in
                try storing { try self.writer.sync { try body(self.generation) } }
            }
        }
        if case .failure(let error) = result { noteDamage(error) }
        try result.get()
    }
}

extension GroupCommit {
    /// Gives the point a row in the version that it has elsewhere, unless a newer one is here.
    fileprivate mutating func adoptIfNewer(_ point: VersionedPoint, _ transaction: borrowing WriteTransaction) throws {
        let key = PointLocation.key(of: point.point.id, virtualShards: virtualShards)
        if let old = try location(of: key, transaction), old.version >= point.version { return }
        try upsert(point.point, version: point.version, transaction)
    }

    fileprivate mutating func deleteIfOlder(
        _ deletion: LogPage.DeletedPoint, _ transaction: borrowing WriteTransaction
    ) throws {
        let key = PointLocation.key(of: deletion.id, virtualShards: virtualShards)
        guard let old = try location(of: key, transaction), old.version < deletion.sequence else { return }
        try delete(deletion.id, transaction)
    }

    /// Lets a log begin behind `position`.
    fileprivate mutating func begin(at position: LogPosition, _ transaction: borrowing WriteTransaction) throws {
        try fillBlock(transaction)
        var former = PointsState()
        former.position = position
        former.firstLogged = position.sequence.next
        var epochs = EpochHistory()
        _ = epochs.note(position)
        take(over: former, epochs: epochs)
    }
}

import Cluster
import DataModel

/// A replica in a split or merge: as the primary of a shard that is replaced it lets others read, as that of a new one it
/// fills itself.
extension SimulatedReplica {
    /// Points of keys in ascending order, from the place that a former page named; those that are deleted for the judge.
    struct PointPage {
        let points: [(key: Int, point: SimulatedFiles.Point)]
        /// The last write at that moment.
        let sequence: SequenceNumber
        /// Nil: there are no more.
        let next: Int?
    }

    /// What became of points over a stretch of the log.
    struct LogPage {
        let points: [Int: SimulatedFiles.Point]
        let position: LogPosition
        let acknowledged: SequenceNumber
    }

    private static let pagePoints = 2
    private static let pageRecords = 10

    // MARK: - A shard that is replaced

    private func serve<Answer>(
        _ epoch: Epoch, _ reply: @escaping (Result<Answer, ShardError>) -> Void,
        _ body: @escaping (SimulatedPrimary) throws(ShardError) -> Answer
    ) {
        withServingRecord(epoch, { reply(.failure($0)) }) { [self] record throws(ShardError) in
            try ServingRight.check(epoch: epoch, against: record)
            guard let primary, !primary.session.isOver else { throw .notPrimary }
            reply(.success(try body(primary)))
        }
    }

    func beginReading(
        _ reader: ShardNumber, epoch: Epoch, reply: @escaping (Result<LogPosition, ShardError>) -> Void
    ) {
        serve(epoch, reply) { [self] (primary) throws(ShardError) in
            let acknowledged = primary.session.state.acknowledged
            let files = try openShard().files
            guard acknowledged > .zero || files.position == .start else {
                throw .notServing(reason: "the primary has not heard of its backups yet")
            }
            guard let epoch = files.epoch(of: acknowledged) else { throw .notServing(reason: "no epoch") }
            primary.keepLog(after: acknowledged, for: reader)
            return LogPosition(sequence: acknowledged, epoch: epoch)
        }
    }

    func pointPage(
        _ reader: ShardNumber, of owned: VirtualShardSet, from key: Int, epoch: Epoch,
        reply: @escaping (Result<PointPage, ShardError>) -> Void
    ) {
        serve(epoch, reply) { [self] (primary) throws(ShardError) in
            primary.keepLog(for: reader)
            let files = try openShard().files
            let keys = (key..<simulation.profile.keys).filter { owned.contains(simulation.virtualShard(of: $0)) }
            let page = keys.prefix(Self.pagePoints)
            let points = page.compactMap { key in files.points[key].map { (key: key, point: $0) } }
            return PointPage(
                points: points, sequence: files.position.sequence, next: keys.dropFirst(Self.pagePoints).first)
        }
    }

    func logPage(
        _ reader: ShardNumber, of owned: VirtualShardSet, after position: LogPosition, epoch: Epoch,
        reply: @escaping (Result<LogPage, ShardError>) -> Void
    ) {
        serve(epoch, reply) { [self] (primary) throws(ShardError) in
            primary.keepLog(after: position.sequence, for: reader)
            let files = try openShard().files
            guard position == .start || files.epoch(of: position.sequence) == position.epoch else {
                throw .invalid(reason: "another history")
            }
            guard let records = files.records(after: position.sequence) else {
                throw .invalid(reason: "the log was trimmed before it could be followed")
            }
            let acknowledged = primary.session.state.acknowledged
            var points: [Int: SimulatedFiles.Point] = [:]
            var end = position
            for record in records.prefix(Self.pageRecords) where record.position.sequence <= acknowledged {
                end = record.position
                guard owned.contains(simulation.virtualShard(of: record.key)) else { continue }
                switch record.effect {
                case .set(let value): points[record.key] = SimulatedFiles.Point(version: record.version, value: value)
                case .remove: points[record.key] = SimulatedFiles.Point(version: record.version, value: nil)
                case .none: break
                }
            }
            return LogPage(points: points, position: end, acknowledged: acknowledged)
        }
    }

    /// Lets no write in for some time, and waits for those that are under way.
    func hold(
        for time: Int, epoch: Epoch, reply: @escaping (Result<(LogPosition, Revision), ShardError>) -> Void
    ) {
        withServingRecord(epoch, { reply(.failure($0)) }) { [self] record throws(ShardError) in
            try ServingRight.check(epoch: epoch, against: record)
            guard let primary, !primary.session.isOver else { throw .notPrimary }
            if simulation.plants(.replacesShardsThatTakeWrites) {
                return reply(.success((try openShard().position, primary.session.record.revision)))
            }
            primary.hold(for: time, done: reply)
        }
    }

    func release(epoch: Epoch, reply: @escaping (Result<Void, ShardError>) -> Void) {
        serve(epoch, reply) { (primary) throws(ShardError) in primary.release() }
    }

    // MARK: - A new shard

    func finishFilling(
        _ ends: [ShardID: LogPosition], deadline: Int, reply: @escaping (Result<LogPosition, ShardError>) -> Void
    ) {
        guard let filler else { return reply(.failure(.notServing(reason: "the replica is not being filled"))) }
        filler.finish(ends, deadline: deadline, reply: reply)
    }
}

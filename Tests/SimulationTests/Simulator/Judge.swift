import Cluster
import DataModel

/// Sees everything, and says what must not have happened.
final class Judge {
    /// How often things happened that a history is there for.
    struct Figures: Sendable {
        var acknowledgedWrites = 0
        var failedWrites = 0
        var reads = 0
        var failedReads = 0
        var epochs = 0
        var primaries = 0
        var demotions = 0
        var promotions = 0
        var snapshots = 0
        var moves = 0
        var reshardings = 0
        /// Drains, and other replication factors.
        var plans = 0
        /// Reads that saw less than an earlier one: what is not acknowledged may be seen on one replica before it is on
        /// the others.
        var regressions = 0

        static func += (sum: inout Figures, other: Figures) {
            sum.acknowledgedWrites += other.acknowledgedWrites
            sum.failedWrites += other.failedWrites
            sum.reads += other.reads
            sum.failedReads += other.failedReads
            sum.epochs += other.epochs
            sum.primaries += other.primaries
            sum.demotions += other.demotions
            sum.promotions += other.promotions
            sum.snapshots += other.snapshots
            sum.moves += other.moves
            sum.reshardings += other.reshardings
            sum.plans += other.plans
            sum.regressions += other.regressions
        }
    }

    private unowned let simulation: Simulation
    var figures = Figures()
    /// The first one; the history ends with it.
    private(set) var violation: String?

    /// What a shard's history is made of so far.
    private struct History {
        /// Who is the primary in each epoch.
        var primaries: [Epoch: NodeID] = [:]
        /// What was written at each position, by any replica.
        var contents: [LogPosition: SimulatedRecord] = [:]
        var acknowledged: [SequenceNumber: LogPosition] = [:]
        var newest: LogPosition?
    }

    private var histories: [ShardID: History] = [:]
    /// The keys that values were written to.
    private var written: [UInt64: Int] = [:]
    /// By key: the newest acknowledged write that had an effect.
    private var newest: [Int: SimulatedRecord] = [:]
    private var newestRead: [Int: SequenceNumber] = [:]

    init(_ simulation: Simulation) { self.simulation = simulation }

    func fail(_ reason: String) {
        if violation == nil { violation = reason }
        simulation.trace("VIOLATION: \(reason)")
    }

    // MARK: - Writes

    /// A primary gave the record its place.
    func ordered(_ record: SimulatedRecord, in shard: ShardID, by node: NodeID) {
        let epoch = record.position.epoch
        let primary = histories[shard]?.primaries[epoch]
        if primary != node {
            fail("node \(node) orders a write in epoch \(epoch), whose primary is \(primary?.description ?? "-")")
        }
        if let other = histories[shard, default: History()].contents.updateValue(record, forKey: record.position),
            other != record
        {
            fail("sequence \(record.position.sequence) of epoch \(epoch) was used twice")
        }
        if case .set(let value) = record.effect { written[value] = record.key }
    }

    /// - Parameter client: whether it is a client who hears of it, not a shard that takes points over.
    func acknowledged(_ position: LogPosition, in shard: ShardID, by node: NodeID, client: Bool = true) {
        guard let record = histories[shard]?.contents[position] else {
            return fail("\(position) was acknowledged, and nobody wrote it")
        }
        let other = histories[shard, default: History()].acknowledged.updateValue(position, forKey: position.sequence)
        if let other, other != position { fail("\(position) and \(other) were both acknowledged") }
        simulation.trace(
            "node \(node): acknowledges \(position.sequence) of epoch \(position.epoch), shard \(shard.number)")
        if histories[shard]?.newest.map({ $0.sequence < position.sequence }) ?? true {
            histories[shard]?.newest = position
        }
        if let present = simulation.store.records[shard]?.value, present.filling == nil {
            for member in present.inSync { check(member, of: shard, holds: [position]) }
        }
        guard client else { return }
        figures.acknowledgedWrites += 1
        guard record.effect != .none, newest[record.key].map({ $0.version < record.version }) ?? true else { return }
        newest[record.key] = record
        // The shard may have been replaced since: then others must have the write.
        for present in simulation.store.serving where simulation.owns(present, record.key) {
            for member in present.inSync { check(member, of: present.id, isCurrentAt: record.key) }
        }
    }

    private func check(_ member: NodeID, of shard: ShardID, holds positions: some Sequence<LogPosition>) {
        let node = simulation.node(member)
        // A disk that was lost is not the protocol's fault; what it makes of it is.
        if node.lost.contains(shard) { return }
        let files = node.files[shard] ?? SimulatedFiles()
        if let missing = positions.first(where: { !files.holds($0) }) {
            fail(
                "node \(member) is in sync in shard \(shard.number), and lacks the acknowledged write "
                    + "\(missing.sequence) of epoch \(missing.epoch)")
        }
    }

    /// That a replica has the newest acknowledged write of a key, wherever that was done.
    private func check(_ member: NodeID, of shard: ShardID, isCurrentAt key: Int) {
        let node = simulation.node(member)
        guard !node.lost.contains(shard), let due = newest[key],
            Self.isOlder(node.files[shard]?.points[key], than: due)
        else { return }
        fail("node \(member) is in sync in shard \(shard.number), and lacks the newest write of key \(key)")
    }

    /// Whether a point is not what a write left, nor what a later one did.
    private static func isOlder(_ point: SimulatedFiles.Point?, than due: SimulatedRecord) -> Bool {
        point?.version ?? .zero < due.version
    }

    // MARK: - Records and files

    func mapChanged(from former: [ShardID: Stored<ShardRecord>]) {
        let present = simulation.store.records
        for (id, record) in present.sorted(by: { $0.key < $1.key }) where former[id] != record {
            recordChanged(from: former[id]?.value, to: record.value)
        }
        for node in simulation.nodes {
            node.lost = node.lost.filter { present[$0]?.value.isInSync(node.id) == true }
        }
        let owned = simulation.store.serving.flatMap(\.virtualShards)
        if owned.reduce(0, { $0 + $1.count }) != simulation.virtualShards
            || VirtualShardSet(owned) != VirtualShardSet([simulation.allVirtualShards])
        {
            fail("the shards that serve do not own each virtual shard once: \(owned)")
        }
    }

    private func recordChanged(from former: ShardRecord?, to record: ShardRecord) {
        let id = record.id
        if let violation = record.violation { fail(violation) }
        if let former {
            if record.epoch < former.epoch { fail("the epoch fell") }
            let isSame = former.primary == record.primary && Set(former.inSync) == Set(record.inSync)
            if !isSame && record.epoch == former.epoch { fail("another primary or in-sync set in the same epoch") }
            let joined = Set(record.inSync).subtracting(former.inSync).count
            figures.promotions += joined
            figures.demotions += Set(former.inSync).count + joined - record.inSync.count
            if former.primary != record.primary { figures.primaries += 1 }
            if former.epoch != record.epoch { figures.epochs += 1 }
        }
        let primary = histories[id, default: History()].primaries.updateValue(record.primary, forKey: record.epoch)
        if primary ?? record.primary != record.primary { fail("two primaries in epoch \(record.epoch)") }
        for node in simulation.nodes where !record.isInSync(node.id) { node.lost.remove(id) }
        for member in record.inSync { checkAll(member, of: record) }
    }

    private func checkAll(_ member: NodeID, of record: ShardRecord) {
        guard record.filling == nil else { return }
        check(member, of: record.id, holds: histories[record.id]?.acknowledged.values.map(\.self) ?? [])
        for key in 0..<simulation.profile.keys where simulation.owns(record, key) {
            check(member, of: record.id, isCurrentAt: key)
        }
    }

    func filesReplaced(of shard: ShardID, on node: SimulatedNode) {
        guard let record = simulation.store.records[shard]?.value, record.isInSync(node.id) else { return }
        checkAll(node.id, of: record)
    }

    /// A primary knows all that its backups have: else they would differ from it until the next write, or for ever.
    func logGrew(of shard: ShardID, on node: SimulatedNode) {
        guard let record = simulation.store.records[shard], record.value.primary != node.id,
            let files = node.files[shard]
        else { return }
        let primary = simulation.node(record.value.primary)
        guard let session = primary.replicas[shard]?.primary?.session, !session.isOver, session.record == record,
            session.state.acked(by: node.id) != nil, primary.files[shard]?.holds(files.position) == false
        else { return }
        fail(
            "node \(node.id) wrote sequence \(files.position.sequence) of epoch \(files.position.epoch), "
                + "which primary \(primary.id) does not know")
    }

    /// A primary that knows its in-sync set keeps what the set's members still have to get.
    func logTrimmed(of shard: ShardID, on node: SimulatedNode) {
        guard let record = simulation.store.records[shard], let primary = node.replicas[shard]?.primary,
            primary.session.record == record, !primary.session.isOver, record.value.primary == node.id
        else { return }
        for member in record.value.inSync where !simulation.node(member).lost.contains(shard) {
            let position = simulation.node(member).files[shard]?.position ?? .start
            if Int(position.sequence.rawValue) < node.files[shard]?.trimmed ?? 0 {
                fail("the log of primary \(node.id) does not reach back to node \(member), which is in sync")
            }
        }
    }

    // MARK: - Reads

    /// What a read that begins now must see.
    struct ReadDuty {
        fileprivate let everything: [ShardID: LogPosition]
        fileprivate let key: Int
        fileprivate let point: SimulatedRecord?
        fileprivate let seen: SequenceNumber?
    }

    func beginRead(of key: Int) -> ReadDuty {
        ReadDuty(
            everything: histories.compactMapValues(\.newest), key: key, point: newest[key], seen: newestRead[key])
    }

    func endRead(_ duty: ReadDuty, of shard: ShardID, files: SimulatedFiles, from node: NodeID) {
        figures.reads += 1
        let point = files.points[duty.key]
        if let everything = duty.everything[shard], !files.holds(everything) {
            fail(
                "a read from node \(node) lacks the write \(everything.sequence), which was acknowledged before it began"
            )
        }
        if let due = duty.point, Self.isOlder(point, than: due) {
            fail("a read from node \(node) saw an older point than the one acknowledged before it began")
        }
        if let value = point?.value, written[value] != duty.key {
            fail("a read from node \(node) saw a value that was not written to this key")
        }
        guard let seen = point?.version else { return }
        if let earlier = duty.seen, seen < earlier { figures.regressions += 1 }
        newestRead[duty.key] = max(newestRead[duty.key] ?? .zero, seen)
    }

    // MARK: - The end

    /// What is not as it must be when everything works again and nothing is under way; nil when it is.
    func unrest() -> String? {
        for record in simulation.store.all {
            if let reason = unrest(record) { return "shard \(record.id.number): \(reason)" }
        }
        for node in simulation.nodes {
            for shard in node.files.keys.sorted()
            where simulation.store.records[shard]?.value.replica(on: node.id) == nil {
                return "node \(node.id) keeps files of shard \(shard.number) that no record names"
            }
        }
        return simulation.store.operations.first { !$0.state.isFinal }.map { "operation \($0.id): \($0.detail)" }
    }

    private func unrest(_ record: ShardRecord) -> String? {
        if record.filling != nil { return "it is being filled" }
        if record.inSync.count != record.replicas.count { return "in sync are \(record.inSync)" }
        let factor = simulation.store.collection?.config.replicationFactor ?? 0
        // What an operation did that did not get to its end stays.
        if record.replicas.count != factor, !wasFactorGivenUp {
            return "\(record.replicas.count) replicas, not \(factor)"
        }
        if record.handover != nil { return "a handover is under way" }
        let logs = record.inSync.map { simulation.node($0).files[record.id]?.records ?? [] }
        guard let first = logs.first, let other = logs.first(where: { $0 != first }) else { return nil }
        return "the logs end at \(first.last?.position.sequence ?? .zero) and \(other.last?.position.sequence ?? .zero)"
    }

    private var wasFactorGivenUp: Bool {
        simulation.store.operations.contains { operation in
            guard case .setReplicationFactor = operation.kind else { return false }
            return operation.state == .cancelled || operation.state == .failed
        }
    }

    func checkPoints() {
        for record in simulation.store.serving {
            var points: [Int: SimulatedFiles.Point]?
            for member in record.inSync {
                checkAll(member, of: record)
                let own = simulation.node(member).files[record.id]?.points ?? [:]
                if let points, points != own { fail("replicas in sync differ in their points") }
                points = own
            }
        }
    }
}

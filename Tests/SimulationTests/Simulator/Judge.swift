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
            sum.regressions += other.regressions
        }
    }

    private unowned let simulation: Simulation
    var figures = Figures()
    /// The first one; the history ends with it.
    private(set) var violation: String?

    /// Who is the primary in each epoch, and what was written at each position, by any replica.
    private var primaries: [Epoch: NodeID] = [:]
    private var contents: [LogPosition: SimulatedRecord] = [:]
    /// In order of sequences.
    private(set) var acknowledged: [SequenceNumber: LogPosition] = [:]
    private var newest: [Int: LogPosition] = [:]
    private var newestOfAll: LogPosition?
    private var newestRead: [Int: SequenceNumber] = [:]

    init(_ simulation: Simulation) { self.simulation = simulation }

    func fail(_ reason: String) {
        if violation == nil { violation = reason }
        simulation.trace("VIOLATION: \(reason)")
    }

    // MARK: - Writes

    /// A primary gave the record its place.
    func ordered(_ record: SimulatedRecord, by node: NodeID) {
        let epoch = record.position.epoch
        if primaries[epoch] != node {
            fail(
                "node \(node) orders a write in epoch \(epoch), whose primary is \(primaries[epoch]?.description ?? "-")"
            )
        }
        if let other = contents.updateValue(record, forKey: record.position), other != record {
            fail("sequence \(record.position.sequence) of epoch \(epoch) was used twice")
        }
    }

    func acknowledged(_ position: LogPosition, by node: NodeID) {
        figures.acknowledgedWrites += 1
        guard let record = contents[position] else { return fail("\(position) was acknowledged, and nobody wrote it") }
        if let other = acknowledged.updateValue(position, forKey: position.sequence), other != position {
            fail("\(position) and \(other) were both acknowledged")
        }
        simulation.trace("node \(node): acknowledges \(position.sequence) of epoch \(position.epoch)")
        newestOfAll = newestOfAll.map { $0.sequence > position.sequence ? $0 : position } ?? position
        newest[record.key] = newest[record.key].map { $0.sequence > position.sequence ? $0 : position } ?? position
        for member in simulation.store.record?.value.inSync ?? [] { check(member, holds: [position]) }
    }

    private func check(_ member: NodeID, holds positions: some Sequence<LogPosition>) {
        let node = simulation.node(member)
        // A disk that was lost is not the protocol's fault; what it makes of it is.
        if node.diskWasLost { return }
        let files = node.files ?? SimulatedFiles()
        if let missing = positions.first(where: { !files.holds($0) }) {
            fail(
                "node \(member) is in sync, and lacks the acknowledged write \(missing.sequence) of epoch \(missing.epoch)"
            )
        }
    }

    // MARK: - Records and files

    func recordChanged(from former: ShardRecord?, to record: ShardRecord) {
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
        if primaries.updateValue(record.primary, forKey: record.epoch) ?? record.primary != record.primary {
            fail("two primaries in epoch \(record.epoch)")
        }
        for node in simulation.nodes where !record.isInSync(node.id) { node.diskWasLost = false }
        for member in record.inSync { check(member, holds: acknowledged.values) }
    }

    func filesReplaced(on node: SimulatedNode) {
        if simulation.store.record?.value.isInSync(node.id) == true { check(node.id, holds: acknowledged.values) }
    }

    /// A primary knows all that its backups have: else they would differ from it until the next write, or for ever.
    func logGrew(on node: SimulatedNode) {
        guard let record = simulation.store.record, record.value.primary != node.id, let files = node.files else {
            return
        }
        let primary = simulation.node(record.value.primary)
        guard let session = primary.replica?.primary?.session, !session.isOver, session.record == record,
            session.state.acked(by: node.id) != nil, primary.files?.holds(files.position) == false
        else { return }
        fail(
            "node \(node.id) wrote sequence \(files.position.sequence) of epoch \(files.position.epoch), "
                + "which primary \(primary.id) does not know")
    }

    /// A primary that knows its in-sync set keeps what the set's members still have to get.
    func logTrimmed(on node: SimulatedNode) {
        guard let record = simulation.store.record, let primary = node.replica?.primary,
            primary.session.record == record, !primary.session.isOver, record.value.primary == node.id
        else { return }
        for member in record.value.inSync where !simulation.node(member).diskWasLost {
            let position = simulation.node(member).files?.position ?? .start
            if Int(position.sequence.rawValue) < node.files?.trimmed ?? 0 {
                fail("the log of primary \(node.id) does not reach back to node \(member), which is in sync")
            }
        }
    }

    // MARK: - Reads

    /// What a read that begins now must see.
    struct ReadDuty {
        let everything: LogPosition?
        let key: Int
        let point: LogPosition?
        let seen: SequenceNumber?
    }

    func beginRead(of key: Int) -> ReadDuty {
        ReadDuty(everything: newestOfAll, key: key, point: newest[key], seen: newestRead[key])
    }

    func endRead(_ duty: ReadDuty, files: SimulatedFiles, from node: NodeID) {
        figures.reads += 1
        let point = files.points[duty.key]
        if let everything = duty.everything, !files.holds(everything) {
            fail(
                "a read from node \(node) lacks the write \(everything.sequence), which was acknowledged before it began"
            )
        }
        if let due = duty.point, contents[due]?.effect != SimulatedRecord.Effect.none,
            point?.position.sequence ?? .zero < due.sequence
        {
            fail("a read from node \(node) saw an older point than the one acknowledged before it began")
        }
        if let point, case .set(let value)? = contents[point.position]?.effect, value != point.value {
            fail("a read from node \(node) saw a value that was not written at \(point.position.sequence)")
        }
        guard let seen = point?.position.sequence else { return }
        if let earlier = duty.seen, seen < earlier { figures.regressions += 1 }
        newestRead[duty.key] = max(newestRead[duty.key] ?? .zero, seen)
    }

    // MARK: - The end

    /// What is not as it must be when everything works again and nothing is under way; nil when it is.
    func unrest() -> String? {
        guard let record = simulation.store.record?.value else { return "no record" }
        if record.inSync.count != record.replicas.count { return "in sync are \(record.inSync)" }
        if record.replicas.count != simulation.profile.replicas { return "\(record.replicas.count) replicas" }
        if record.handover != nil { return "a handover is under way" }
        let logs = record.inSync.map { simulation.node($0).files?.records ?? [] }
        if let first = logs.first, let other = logs.first(where: { $0 != first }) {
            return
                "the logs end at \(first.last?.position.sequence ?? .zero) and \(other.last?.position.sequence ?? .zero)"
        }
        for node in simulation.nodes where record.replica(on: node.id) == nil && node.files != nil {
            return "node \(node.id) keeps files that no record names"
        }
        return simulation.store.operations.first { !$0.state.isFinal }.map { "operation \($0.id) is not over" }
    }

    func checkPoints() {
        guard let record = simulation.store.record?.value else { return }
        var points: [Int: SimulatedFiles.Point]?
        for member in record.inSync {
            check(member, holds: acknowledged.values)
            let own = simulation.node(member).files?.points ?? [:]
            if let points, points != own { fail("replicas in sync differ in their points") }
            points = own
        }
    }
}

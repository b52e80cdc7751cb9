import Cluster
import DataModel

/// A write as the log holds it.
struct SimulatedRecord: Hashable {
    enum Effect: Hashable {
        case set(UInt64)
        case remove
        /// A condition did not hold; the write still has its place in the order.
        case none
    }

    let position: LogPosition
    let key: Int
    let effect: Effect
}

/// What a client wants written.
enum SimulatedWrite {
    case set(key: Int, value: UInt64)
    case remove(key: Int)
    /// Removes the point if it has the value, as the primary decides at one place of its order (a delete by filter).
    case removeIf(key: Int, value: UInt64)
}

/// What is on a node's disk of the shard. All records are kept; those up to `trimmed` count as no longer in the log.
struct SimulatedFiles {
    struct Point: Equatable {
        var position: LogPosition
        /// Nil: deleted.
        var value: UInt64?
    }

    private(set) var records: [SimulatedRecord] = []
    private(set) var points: [Int: Point] = [:]
    var trimmed = 0

    var position: LogPosition { records.last?.position ?? .start }

    func epoch(of sequence: SequenceNumber) -> Epoch? {
        sequence == .zero ? LogPosition.start.epoch : record(sequence)?.position.epoch
    }

    func record(_ sequence: SequenceNumber) -> SimulatedRecord? {
        let index = Int(sequence.rawValue) - 1
        return records.indices.contains(index) ? records[index] : nil
    }

    func holds(_ position: LogPosition) -> Bool { record(position.sequence)?.position == position }

    mutating func append(_ record: SimulatedRecord) {
        records.append(record)
        switch record.effect {
        case .set(let value): points[record.key] = Point(position: record.position, value: value)
        case .remove: points[record.key] = Point(position: record.position, value: nil)
        case .none: break
        }
    }
}

/// The open files of a replica: commits writes in groups, one group at a time, as slowly as the disk is.
final class SimulatedShard {
    enum Request {
        case append(SimulatedWrite, Epoch)
        case apply([SimulatedRecord])
    }

    private typealias Entry = (request: Request, done: (Result<LogPosition, ShardError>) -> Void)

    private unowned let node: SimulatedNode
    private var queue: [Entry] = []
    private var group: [Entry] = []
    private var isClosed = false
    private var closed: (() -> Void)?
    /// The log keeps what follows; nil: nobody needs it.
    var retention: SequenceNumber?

    init(_ node: SimulatedNode) { self.node = node }

    private var simulation: Simulation { node.simulation }
    var files: SimulatedFiles { node.files ?? SimulatedFiles() }
    var position: LogPosition { files.position }

    func add(_ request: Request, done: @escaping (Result<LogPosition, ShardError>) -> Void) {
        guard !isClosed else { return done(.failure(.notServing(reason: "the shard is closed"))) }
        queue.append((request, done))
        commitGroup()
    }

    private func commitGroup() {
        guard group.isEmpty else { return }
        guard !queue.isEmpty, !isClosed else {
            if isClosed {
                closed?()
                closed = nil
            }
            return
        }
        swap(&group, &queue)
        let slow = simulation.random.chance(simulation.slowCommits) ? simulation.random.within(10...100) : 1
        node.process.after(simulation.random.within(200...simulation.profile.fsync) * slow) { [self] in
            let entries = group
            group = []
            // The disk is full for all of them or for none.
            let answers =
                node.diskIsFull
                ? entries.map { _ in .failure(ShardError.outOfSpace(reason: "full")) }
                : entries.map { perform($0.request) }
            trim()
            for (entry, answer) in zip(entries, answers) { entry.done(answer) }
            commitGroup()
        }
    }

    private func perform(_ request: Request) -> Result<LogPosition, ShardError> {
        let records: [SimulatedRecord]
        switch request {
        case .append(let write, let epoch):
            guard let next = position.next(in: epoch) else {
                return .failure(.staleEpoch(current: position.epoch))
            }
            records = [resolve(write, at: next)]
            simulation.judge.ordered(records[0], by: node.id)
        case .apply(let given): records = given
        }
        var last = position
        for record in records {
            guard last.isFollowed(by: record.position) else { return .failure(.invalid(reason: "does not follow")) }
            last = record.position
        }
        for record in records { node.files?.append(record) }
        if let record = records.last {
            simulation.trace("node \(node.id): has \(record.position.sequence) of epoch \(record.position.epoch)")
        }
        simulation.judge.logGrew(on: node)
        return .success(last)
    }

    private func resolve(_ write: SimulatedWrite, at position: LogPosition) -> SimulatedRecord {
        switch write {
        case .set(let key, let value): SimulatedRecord(position: position, key: key, effect: .set(value))
        case .remove(let key): SimulatedRecord(position: position, key: key, effect: .remove)
        case .removeIf(let key, let value):
            SimulatedRecord(
                position: position, key: key, effect: files.points[key]?.value == value ? .remove : .none)
        }
    }

    private func trim() {
        let files = files
        let surplus = files.records.count - simulation.profile.retainedRecords
        guard surplus > files.trimmed else { return }
        var floor = surplus
        if let retention, !simulation.plants(.trimsTheLogTooEarly) {
            floor = min(floor, Int(retention.rawValue))
        }
        guard floor > files.trimmed else { return }
        node.files?.trimmed = floor
        simulation.judge.logTrimmed(on: node)
    }

    /// Finishes the commit that is under way; what waits behind it fails.
    func close(done: @escaping () -> Void) {
        isClosed = true
        for entry in queue { entry.done(.failure(.notServing(reason: "the shard is closed"))) }
        queue = []
        if group.isEmpty { done() } else { closed = done }
    }

    /// The process died: the commit that was under way took effect or did not, whole in either case.
    func lose() {
        let entries = group
        (group, queue, isClosed) = ([], [], true)
        if !node.diskIsFull && simulation.random.chance(0.5) { for entry in entries { _ = perform(entry.request) } }
    }
}

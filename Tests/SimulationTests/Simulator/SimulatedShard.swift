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
    /// Of the point: the write's place in the order, but for points that came from a shard that is replaced.
    let version: SequenceNumber

    init(position: LogPosition, key: Int, effect: Effect, version: SequenceNumber? = nil) {
        (self.position, self.key, self.effect) = (position, key, effect)
        self.version = version ?? position.sequence
    }
}

/// What a client wants written.
enum SimulatedWrite {
    case set(key: Int, value: UInt64)
    case remove(key: Int)
    /// Removes the point if it has the value, as the primary decides at one place of its order (a delete by filter).
    case removeIf(key: Int, value: UInt64)
    /// Takes a point over from a shard that is replaced.
    case adopt(key: Int, SimulatedFiles.Point)

    var key: Int {
        switch self {
        case .set(let key, _), .remove(let key), .removeIf(let key, _), .adopt(let key, _): key
        }
    }
}

/// What is on a node's disk of a shard. All records are kept; those up to `trimmed` count as no longer in the log.
struct SimulatedFiles {
    struct Point: Hashable {
        var version: SequenceNumber
        /// Nil: deleted.
        var value: UInt64?
    }

    /// What the log begins behind.
    private(set) var base = LogPosition.start
    private(set) var records: [SimulatedRecord] = []
    private(set) var points: [Int: Point] = [:]
    /// By sequence.
    var trimmed = 0

    var position: LogPosition { records.last?.position ?? base }

    func epoch(of sequence: SequenceNumber) -> Epoch? {
        sequence == base.sequence ? base.epoch : record(sequence)?.position.epoch
    }

    func record(_ sequence: SequenceNumber) -> SimulatedRecord? {
        let index = index(after: sequence) - 1
        return records.indices.contains(index) ? records[index] : nil
    }

    func holds(_ position: LogPosition) -> Bool { position == base || record(position.sequence)?.position == position }

    /// The records behind a sequence; nil when they are not in the log any more.
    func records(after sequence: SequenceNumber) -> ArraySlice<SimulatedRecord>? {
        guard Int(sequence.rawValue) >= trimmed else { return nil }
        return records.dropFirst(index(after: sequence))
    }

    private func index(after sequence: SequenceNumber) -> Int { Int(sequence.rawValue) - Int(base.sequence.rawValue) }

    mutating func append(_ record: SimulatedRecord) {
        records.append(record)
        switch record.effect {
        case .set(let value): points[record.key] = Point(version: record.version, value: value)
        case .remove: points[record.key] = Point(version: record.version, value: nil)
        case .none: break
        }
    }

    // MARK: - Filling from other shards

    /// Takes a point in, unless what is here is as new. Nothing tells a point that was deleted from one that never was.
    mutating func fill(_ key: Int, _ point: Point) {
        let old = points[key]?.value == nil ? nil : points[key]
        if point.value == nil && old == nil { return noteDeletion(of: key, point.version) }
        if old?.version ?? .zero < point.version { points[key] = point }
    }

    /// A real replica knows nothing of what was deleted. The judge has to: the point may be gone by a write that nobody
    /// acknowledged.
    mutating func noteDeletion(of key: Int, _ version: SequenceNumber) {
        guard points[key]?.value == nil, points[key]?.version ?? .zero < version else { return }
        points[key] = Point(version: version, value: nil)
    }

    /// From here on there is a log.
    mutating func beginLog(at position: LogPosition) {
        base = position
        trimmed = Int(position.sequence.rawValue)
    }
}

/// The open files of a replica: commits writes in groups, one group at a time, as slowly as the disk is.
final class SimulatedShard {
    enum Request {
        case append(SimulatedWrite, Epoch)
        case apply([SimulatedRecord])
    }

    private typealias Entry = (request: Request, done: (Result<LogPosition, ShardError>) -> Void)

    private let id: ShardID
    private unowned let node: SimulatedNode
    private var queue: [Entry] = []
    private var group: [Entry] = []
    private var isClosed = false
    private var closed: (() -> Void)?
    /// The log keeps what follows; nil: nobody needs it.
    var retention: SequenceNumber?

    init(_ id: ShardID, _ node: SimulatedNode) {
        self.id = id
        self.node = node
    }

    private var simulation: Simulation { node.simulation }
    var files: SimulatedFiles { node.files[id] ?? SimulatedFiles() }
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
            simulation.judge.ordered(records[0], in: id, by: node.id)
        case .apply(let given): records = given
        }
        var last = position
        for record in records {
            guard last.isFollowed(by: record.position) else { return .failure(.invalid(reason: "does not follow")) }
            last = record.position
        }
        for record in records { node.files[id]?.append(record) }
        if let record = records.last {
            simulation.trace(
                "node \(node.id): has \(record.position.sequence) of epoch \(record.position.epoch), shard \(id.number)"
            )
        }
        simulation.judge.logGrew(of: id, on: node)
        return .success(last)
    }

    private func resolve(_ write: SimulatedWrite, at position: LogPosition) -> SimulatedRecord {
        switch write {
        case .set(let key, let value): SimulatedRecord(position: position, key: key, effect: .set(value))
        case .remove(let key): SimulatedRecord(position: position, key: key, effect: .remove)
        case .removeIf(let key, let value):
            SimulatedRecord(
                position: position, key: key, effect: files.points[key]?.value == value ? .remove : .none)
        case .adopt(let key, let point): adopt(key, point, at: position)
        }
    }

    /// A deletion is a write like others: only points bring versions.
    private func adopt(_ key: Int, _ point: SimulatedFiles.Point, at position: LogPosition) -> SimulatedRecord {
        guard let value = point.value else { return SimulatedRecord(position: position, key: key, effect: .remove) }
        return SimulatedRecord(position: position, key: key, effect: .set(value), version: point.version)
    }

    private func trim() {
        let files = files
        let surplus = Int(files.position.sequence.rawValue) - simulation.profile.retainedRecords
        guard surplus > files.trimmed else { return }
        var floor = surplus
        if let retention, !simulation.plants(.trimsTheLogTooEarly) {
            floor = min(floor, Int(retention.rawValue))
        }
        guard floor > files.trimmed else { return }
        node.files[id]?.trimmed = floor
        simulation.judge.logTrimmed(of: id, on: node)
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

internal import DataModel
internal import LMDB
internal import Synchronization

/// The value of an entry in `requests`, whose key is the sequence of the write that brought the names.
enum RequestEntry {
    /// Sealed: the writes.
    static func bytes(_ writes: [RememberedWrite], at sequence: SequenceNumber) -> [UInt8] {
        var writer = BinaryWriter(capacity: 8 + writes.count * 48)
        writer.write(writes) { $1.encode(to: &$0) }
        return Sealed.bytes(writer.bytes, at: sequence.rawValue)
    }

    static func read(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) throws -> (sequence: SequenceNumber, writes: [RememberedWrite]) {
        guard key.count == 8 else { throw ShardError.corrupted(reason: "a key of `requests` is no sequence") }
        let sequence = SequenceNumber(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))
        let contents = try Sealed.contents(of: value, at: sequence.rawValue, "write \(sequence) in `requests`")
        var reader = BinaryReader(contents)
        let writes = try reader.readArray { (reader) throws(BinaryFormatError) in try RememberedWrite(from: &reader) }
        return (sequence, writes)
    }
}

/// What is known under a name, and the sequence that it is forgotten by.
struct NotedWrite {
    var write: RememberedWrite
    var place: SequenceNumber
}

/// The table `requests` by names, in memory: where a primary looks whether it has done a write before.
///
/// Loaded with the first write that has a name; a replica that only follows never needs it. Changed by the shard's
/// writer alone, when a commit is durable.
final class RequestMemory: Sendable {
    private struct State {
        var isLoaded = false
        /// Two halves, of which the older is dropped as a whole: to forget costs nothing.
        var recent: [RequestName: NotedWrite] = [:]
        var older: [RequestName: NotedWrite] = [:]

        func write(_ name: RequestName) -> NotedWrite? { recent[name] ?? older[name] }
    }

    /// Writes that are remembered.
    let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    /// - Precondition: no commit is under way.
    func loadIfNeeded(from store: PointStore) throws {
        guard !state.withLock({ $0.isLoaded }) else { return }
        var loaded = State()
        try store.environment.read { transaction in
            try transaction.withCursor(in: store.requests) { cursor in
                var entry = try cursor.first()
                while let (key, value) = entry {
                    let (place, writes) = try RequestEntry.read(key, value)
                    for write in writes {
                        let former = loaded.write(write.stamp.name)?.write
                        add(NotedWrite(write: write.joined(with: former), place: place), to: &loaded)
                    }
                    entry = try cursor.next()
                }
            }
        }
        loaded.isLoaded = true
        state.withLock { [loaded] in $0 = loaded }
    }

    /// The write of the name; perhaps one that should be forgotten by now.
    func write(_ name: RequestName) -> NotedWrite? { state.withLock { $0.write(name) } }

    func add(_ writes: [RequestName: NotedWrite]) {
        guard !writes.isEmpty else { return }
        state.withLock { state in
            guard state.isLoaded else { return }
            for write in writes.values { add(write, to: &state) }
        }
    }

    /// Goes on with what another one has, which is not used any more: of the same shard, at the same write.
    func take(over former: RequestMemory) {
        let taken = former.state.withLock { state in
            defer { state = State() }
            return state
        }
        state.withLock { $0 = taken }
    }

    private func add(_ write: NotedWrite, to state: inout State) {
        if state.recent.count >= limit {
            state.older = state.recent
            state.recent = [:]
        }
        state.recent[write.write.stamp.name] = write
    }
}

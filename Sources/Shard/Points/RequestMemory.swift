internal import DataModel
internal import LMDB
internal import Synchronization

/// What a shard remembers of a write that was done under a name.
struct RememberedWrite {
    var sequence: SequenceNumber
    var digest: UInt64
}

/// The value of an entry in `requests`, whose key is the sequence.
enum RequestEntry {
    /// Sealed: the name (16), the digest (8).
    static func bytes(_ stamp: RequestStamp, at sequence: SequenceNumber) -> [UInt8] {
        Sealed.bytes(stamp.encoded(capacity: 24), at: sequence.rawValue)
    }

    static func read(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) throws -> (sequence: SequenceNumber, stamp: RequestStamp) {
        guard key.count == 8 else { throw ShardError.corrupted(reason: "a key of `requests` is no sequence") }
        let sequence = SequenceNumber(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))
        let contents = try Sealed.contents(of: value, at: sequence.rawValue, "write \(sequence) in `requests`")
        return (sequence, try RequestStamp(decoding: contents))
    }
}

/// The table `requests` by names, in memory: where a primary looks whether it has done a write before.
///
/// Loaded with the first write that has a name; a replica that only follows never needs it. Changed by the shard's
/// writer alone, when a commit is durable.
final class RequestMemory: Sendable {
    private struct State {
        var isLoaded = false
        /// Two halves, of which the older is dropped as a whole: to forget costs nothing.
        var recent: [RequestName: RememberedWrite] = [:]
        var older: [RequestName: RememberedWrite] = [:]
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
                    let (sequence, stamp) = try RequestEntry.read(key, value)
                    add(RememberedWrite(sequence: sequence, digest: stamp.digest), stamp.name, to: &loaded)
                    entry = try cursor.next()
                }
            }
        }
        loaded.isLoaded = true
        state.withLock { [loaded] in $0 = loaded }
    }

    /// The write of the name; perhaps one that should be forgotten by now.
    func write(_ name: RequestName) -> RememberedWrite? { state.withLock { $0.recent[name] ?? $0.older[name] } }

    func add(_ writes: [RequestName: RememberedWrite]) {
        guard !writes.isEmpty else { return }
        state.withLock { state in
            guard state.isLoaded else { return }
            for (name, write) in writes { add(write, name, to: &state) }
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

    private func add(_ write: RememberedWrite, _ name: RequestName, to state: inout State) {
        if state.recent.count >= limit {
            state.older = state.recent
            state.recent = [:]
        }
        state.recent[name] = write
    }
}

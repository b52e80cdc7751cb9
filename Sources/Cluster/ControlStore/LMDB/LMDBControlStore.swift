import DataModel
import Dispatch
import Glibc
import LMDB
package import Logging
import Synchronization

/// The control store of one machine: an LMDB environment that its node processes share. No server to run.
///
/// Commits are durable. Keeping a lease alive writes no page (see `LeaseTimes`), a dead owner's lease ends at once (see
/// `LeaseLocks`), and every process that has the store open looks for such leases.
package final class LMDBControlStore: ControlStore {
    /// A lease that this instance granted.
    struct OwnLease {
        var row: LeaseRow
        /// Holds the lock.
        var descriptor: Int32
    }

    struct Watcher {
        var prefix: String
        /// Everything up to here was given to the continuation.
        var position: Revision
        var continuation: AsyncStream<WatchUpdate>.Continuation
    }

    struct Guarded {
        var isClosed = false
        var ownLeases: [LeaseID: OwnLease] = [:]
        var watchers: [UInt64: Watcher] = [:]
        var nextWatcher: UInt64 = 0
    }

    /// Every key and record of a large cluster, a thousand times over. Address space, not disk.
    private static let mapSizeBytes = 1 << 30
    /// Nodes must be able to join, and to take over for others, on a full disk.
    private static let reservedBytes = 4 << 20
    /// LMDB's longest key, less the lease's number in `leaseKeys`.
    static let maximumKeyBytes = 503
    /// Changes that the log holds for watches: minutes of them at a busy time; a watch is milliseconds behind.
    static let logLength = 4_096

    let environment: Environment
    let tables: ControlTables
    let times: LeaseTimes
    let locks: LeaseLocks
    let logger: Logger
    let guarded = Mutex(Guarded())
    /// Write transactions may wait for other processes and for the disk, so they have a thread of their own.
    private let writing = DispatchQueue(label: "control-store.write")
    let poller: Poller
    /// So that rounds do not pile up behind a writer that waits.
    let expiryIsQueued = Atomic(false)

    /// Opens the store in `folder`, making both when they are missing.
    ///
    /// - Throws: `unavailable`.
    package static func open(folder: String, logger: Logger) throws(ControlStoreError) -> LMDBControlStore {
        if mkdir(folder, 0o755) != 0 && errno != EEXIST { throw .system("make \(folder)") }
        do {
            let store = try LMDBControlStore(folder: folder, logger: logger)
            store.startPolling()
            return store
        } catch {
            throw Self.error(error)
        }
    }

    private init(folder: String, logger: Logger) throws {
        self.logger = logger
        environment = try Environment.open(
            folder, options: Environment.Options(mapSizeBytes: Self.mapSizeBytes, reservedBytes: Self.reservedBytes))
        tables = try ControlTables(environment)
        times = try environment.write { _ in try LeaseTimes(path: folder + "/leases") }
        locks = try LeaseLocks(folder: folder + "/locks")
        poller = Poller()
    }

    deinit { shutDown() }

    package func close() async { shutDown() }

    /// Gives up the locks of this instance's leases without revoking them, as the death of the process does.
    package func abandon() { shutDown() }

    private func shutDown() {
        poller.stop()
        let (descriptors, watchers) = guarded.withLock { guarded in
            guarded.isClosed = true
            defer {
                guarded.ownLeases = [:]
                guarded.watchers = [:]
            }
            return (guarded.ownLeases.values.map(\.descriptor), guarded.watchers.values.map(\.continuation))
        }
        for descriptor in descriptors { Glibc.close(descriptor) }
        for continuation in watchers { continuation.finish() }
    }

    // MARK: - Reading

    package func get(_ key: String) async throws(ControlStoreError) -> ControlEntry? {
        try reading { [tables] transaction in try tables.entry(key, in: transaction) }
    }

    package func list(
        _ prefix: String
    ) async throws(ControlStoreError) -> (entries: [ControlEntry], revision: Revision) {
        try reading { [tables] transaction in
            (try tables.entries(prefix: prefix, in: transaction), Revision(transaction.id))
        }
    }

    package func changes(
        _ prefix: String, after revision: Revision
    ) async throws(ControlStoreError) -> WatchUpdate {
        try reading { [tables] transaction in
            try tables.changes(prefix: prefix, after: revision, in: transaction)
        }
    }

    /// No lock and no system call.
    package var latestRevisionIsCheap: Bool { true }

    package func latestRevision() async throws(ControlStoreError) -> Revision {
        try checkOpen()
        return Revision(environment.lastTransactionID)
    }

    // MARK: - Writing

    package func transaction(
        guards: [ControlGuard], mutations: [ControlMutation]
    ) async throws(ControlStoreError) -> TransactionOutcome {
        precondition(guards.count <= ControlLimits.transactionOperations, "too many guards")
        precondition(mutations.count <= ControlLimits.transactionOperations, "too many mutations")
        precondition(Set(mutations.map(\.key)).count == mutations.count, "a key is changed twice")
        if let key = mutations.map(\.key).first(where: { $0.isEmpty || $0.utf8.count > Self.maximumKeyBytes }) {
            throw .unavailable(
                reason: "a key has \(key.utf8.count) bytes; the store takes 1 to \(Self.maximumKeyBytes)")
        }
        return try await write { [tables, times] transaction in
            for condition in guards {
                let entry = try tables.entry(condition.key, in: transaction)
                if entry?.modRevision != condition.expected { return .conflict }
            }
            var changes = ControlChanges(tables)
            let now = LeaseTimes.now()
            for mutation in mutations {
                switch mutation {
                case .put(let key, let value, let lease):
                    if let lease {
                        guard let row = try tables.lease(lease, in: transaction),
                            times.isAlive(lease, slot: row.slot, now: now)
                        else { throw ControlStoreError.leaseExpired(lease) }
                    }
                    try changes.put(key: key, value: value, lease: lease, in: transaction)
                case .delete(let key):
                    try changes.delete(key, in: transaction)
                }
            }
            // A transaction that changes nothing has no revision of its own: LMDB gives its number to the next one.
            if changes.events.isEmpty { return .committed(Revision(transaction.id - 1)) }
            try changes.trimLog(to: Self.logLength, in: transaction)
            return .committed(Revision(transaction.id))
        }
    }

    // MARK: - Access to the environment

    func checkOpen() throws(ControlStoreError) {
        if guarded.withLock({ $0.isClosed }) { throw .closed }
    }

    private func reading<Result>(
        _ body: (borrowing ReadTransaction) throws -> Result
    ) throws(ControlStoreError) -> Result {
        try checkOpen()
        do {
            return try environment.read(body)
        } catch {
            throw Self.error(error)
        }
    }

    func write<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing WriteTransaction) throws -> Value
    ) async throws(ControlStoreError) -> Value {
        try checkOpen()
        let result: Result<Value, ControlStoreError> = await withCheckedContinuation { continuation in
            writing.async { [self] in
                do {
                    let value = try environment.write(body)
                    poller.wake()
                    continuation.resume(returning: .success(value))
                } catch {
                    continuation.resume(returning: .failure(Self.error(error)))
                }
            }
        }
        return try result.get()
    }

    /// Runs `body` where write transactions run, without waiting for it.
    func onWritingThread(_ body: @escaping @Sendable () -> Void) { writing.async(execute: body) }

    static func error(_ error: any Error) -> ControlStoreError {
        error as? ControlStoreError ?? .unavailable(reason: "\(error)")
    }
}

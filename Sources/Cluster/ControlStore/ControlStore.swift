import DataModel

/// A moment in the history of the whole control store: grows with each change, wherever it is made.
package struct Revision: Identifier {
    package let rawValue: UInt64

    /// Before the first change.
    package static let zero = Revision(0)

    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A lease: keys that are attached to it vanish when it is not kept alive.
package struct LeaseID: Identifier {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A key with its value, as last changed.
package struct ControlEntry: Sendable, Equatable {
    package var key: String
    package var value: [UInt8]
    /// The revision of the transaction that last put the key.
    package var modRevision: Revision
    package var lease: LeaseID?

    package init(key: String, value: [UInt8], modRevision: Revision, lease: LeaseID? = nil) {
        self.key = key
        self.value = value
        self.modRevision = modRevision
        self.lease = lease
    }
}

/// What must be true of a key for a transaction to commit.
package struct ControlGuard: Sendable, Equatable {
    package var key: String
    /// The key's `modRevision`; nil means that the key must not exist.
    package var expected: Revision?

    package init(key: String, expected: Revision?) {
        self.key = key
        self.expected = expected
    }
}

/// One change of a transaction. A transaction changes a key at most once.
package enum ControlMutation: Sendable, Equatable {
    case put(key: String, value: [UInt8], lease: LeaseID? = nil)
    /// Deleting a key that does not exist changes nothing.
    case delete(key: String)

    package var key: String {
        switch self {
        case .put(let key, _, _), .delete(let key): key
        }
    }
}

package enum TransactionOutcome: Sendable, Equatable {
    /// All mutations took effect, in this revision.
    case committed(Revision)
    /// A guard did not hold; nothing was changed.
    case conflict
}

/// A change that a watch saw.
package enum ControlEvent: Sendable, Equatable {
    case put(ControlEntry)
    case delete(key: String, revision: Revision)

    package var key: String {
        switch self {
        case .put(let entry): entry.key
        case .delete(let key, _): key
        }
    }

    package var revision: Revision {
        switch self {
        case .put(let entry): entry.modRevision
        case .delete(_, let revision): revision
        }
    }
}

/// What a watch yields.
package enum WatchUpdate: Sendable, Equatable {
    /// Every change of the watched keys after the previous update and up to `revision`, in order; possibly none.
    case changed([ControlEvent], upTo: Revision)
    /// The history no longer reaches back to where the watch stands: list anew. The watch is over.
    case compacted
    /// The store cannot be read. The watch is over.
    case failed(ControlStoreError)
}

/// Why the control store did not do what it was asked.
package enum ControlStoreError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The lease ran out, was revoked, or its owner is gone.
    case leaseExpired(LeaseID)
    /// The store cannot be reached or read; whether a change took effect is unknown.
    case unavailable(reason: String)
    /// The store was closed in this process.
    case closed

    package var description: String {
        switch self {
        case .leaseExpired(let lease): "lease \(lease) has expired"
        case .unavailable(let reason): "the control store is not available: \(reason)"
        case .closed: "the control store is closed"
        }
    }
}

/// The small, strongly consistent store of the cluster's state; the semantics are those of etcd v3.
///
/// Reads are linearizable: each sees every change that was committed before it began.
package protocol ControlStore: Sendable {
    func get(_ key: String) async throws(ControlStoreError) -> ControlEntry?

    /// All keys that begin with `prefix`, in ascending order, and the revision at which this was so.
    func list(_ prefix: String) async throws(ControlStoreError) -> (entries: [ControlEntry], revision: Revision)

    /// Commits all mutations in one revision if every guard holds.
    ///
    /// - Precondition: at most `ControlLimits.transactionOperations` guards, and as many mutations.
    /// - Throws: `leaseExpired` when a put names a lease that is not alive; `unavailable`; `closed`.
    func transaction(
        guards: [ControlGuard], mutations: [ControlMutation]
    ) async throws(ControlStoreError) -> TransactionOutcome

    /// Follows the keys that begin with `prefix` from just after `revision` on. Ends when the consumer stops, or after
    /// `compacted` or `failed`.
    func watch(_ prefix: String, after revision: Revision) -> AsyncStream<WatchUpdate>

    /// What a watch would yield at once, without waiting. A store may answer `compacted` although its history is
    /// longer.
    func changes(_ prefix: String, after revision: Revision) async throws(ControlStoreError) -> WatchUpdate

    /// Whether `latestRevision` costs so little that each answer to a client is checked against the newest records.
    /// Else nodes answer by the records as a watch brought them last, and who changes a record waits until all know it
    /// (`ClusterState.isKnown`).
    var latestRevisionIsCheap: Bool { get }

    /// The store's present revision.
    func latestRevision() async throws(ControlStoreError) -> Revision

    /// Grants a lease that runs out `ttl` after the last `keepAlive`, and at once when this process dies, where the
    /// store can see that.
    func grantLease(ttl: Duration) async throws(ControlStoreError) -> LeaseID

    /// Extends the lease to its `ttl` from now.
    ///
    /// - Throws: `leaseExpired` when it is too late; the keys are gone or going. `unavailable`; `closed`.
    func keepAlive(_ lease: LeaseID) async throws(ControlStoreError)

    /// Ends the lease and deletes its keys. A lease that is gone already is no error.
    func revoke(_ lease: LeaseID) async throws(ControlStoreError)

    /// Releases what the store holds in this process. Leases are not revoked, but nothing keeps them alive any more.
    func close() async
}

package enum ControlLimits {
    /// etcd refuses transactions of more than 128 operations by default, and one is for the token by which the store
    /// recognises a transaction that it sent twice.
    package static let transactionOperations = 127
}

extension ControlStore {
    /// Puts the value if the key's `modRevision` is `expected` (nil: the key does not exist).
    package func compareAndSwap(
        _ key: String, expected: Revision?, value: [UInt8], lease: LeaseID? = nil
    ) async throws(ControlStoreError) -> TransactionOutcome {
        try await transaction(
            guards: [ControlGuard(key: key, expected: expected)],
            mutations: [.put(key: key, value: value, lease: lease)])
    }

    /// Puts the value, whatever the key held.
    @discardableResult
    package func put(
        _ key: String, value: [UInt8], lease: LeaseID? = nil
    ) async throws(ControlStoreError) -> TransactionOutcome {
        try await transaction(guards: [], mutations: [.put(key: key, value: value, lease: lease)])
    }
}

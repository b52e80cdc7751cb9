package import DataModel

/// `operations/<id>`: a durable, cancellable operation that the controller carries out step by step.
package struct OperationRecord: ControlRecord {
    /// What is to be done. A kind that works on a shard changes its record; the others plan operations of their own,
    /// whose records name them as `parent`, and follow those.
    package enum Kind: Sendable, Codable, Equatable {
        /// Adds a replica on `to`, then removes the one on `from`.
        case move(collection: CollectionID, shard: ShardNumber, from: NodeID, to: NodeID)
    }

    package enum State: String, Sendable, Codable {
        case planned, running, done, failed, cancelling, cancelled

        package var isFinal: Bool { self == .done || self == .failed || self == .cancelled }
    }

    package var id: String
    package var kind: Kind
    package var state: State
    /// What the operation does now, or why it failed.
    package var detail: String
    /// Why it was planned.
    package var reason: String
    /// An estimate when it was planned; `OperationProgress` knows better.
    package var bytesTotal: UInt64
    /// Seconds since 1970.
    package var createdAt: Double
    /// Since when the operation waits for a node that is not alive; seconds since 1970.
    package var blockedSince: Double?
    /// Whether it changed the map: only then is there something to undo.
    package var hasStarted: Bool
    /// The operation that planned this one as a step of its own.
    package var parent: String?
    /// The most that each of its transfers sends; nil for what the nodes are set to.
    package var maxBytesPerSecond: UInt64?

    package init(
        id: String, kind: Kind, state: State = .planned, detail: String = "", reason: String, bytesTotal: UInt64 = 0,
        createdAt: Double, blockedSince: Double? = nil, hasStarted: Bool = false, parent: String? = nil,
        maxBytesPerSecond: UInt64? = nil
    ) {
        self.id = id
        self.kind = kind
        self.state = state
        self.detail = detail
        self.reason = reason
        self.bytesTotal = bytesTotal
        self.createdAt = createdAt
        self.blockedSince = blockedSince
        self.hasStarted = hasStarted
        self.parent = parent
        self.maxBytesPerSecond = maxBytesPerSecond
    }

    /// The record with the wish that it end; unchanged when it is over already.
    package var cancelled: OperationRecord {
        var record = self
        if !state.isFinal { record.state = .cancelling }
        return record
    }
}

extension OperationRecord.Kind {
    /// The collection whose map the operation changes.
    package var collection: CollectionID? {
        switch self {
        case .move(let collection, _, _, _): collection
        }
    }

    /// The shard whose record the operation changes: no two operations work on one at the same time.
    package var shard: ShardID? {
        switch self {
        case .move(let collection, let shard, _, _): ShardID(collection: collection, number: shard)
        }
    }

    /// The node that gives a replica up.
    package var source: NodeID? {
        switch self {
        case .move(_, _, let from, _): from
        }
    }

    /// The node that gets a replica.
    package var target: NodeID? {
        switch self {
        case .move(_, _, _, let to): to
        }
    }
}

/// `progress/<operation id>`: written by the node that sends the data, beside the operation so that the two never
/// conflict.
package struct OperationProgress: ControlRecord {
    package var bytesDone: UInt64
    package var bytesTotal: UInt64

    package init(bytesDone: UInt64, bytesTotal: UInt64) {
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
    }
}

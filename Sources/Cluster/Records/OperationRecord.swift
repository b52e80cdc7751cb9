package import DataModel

/// `operations/<id>`: a durable, cancellable operation that the controller carries out step by step.
package struct OperationRecord: ControlRecord {
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

    package init(
        id: String, kind: Kind, state: State = .planned, detail: String = "", reason: String, bytesTotal: UInt64 = 0,
        createdAt: Double, blockedSince: Double? = nil, hasStarted: Bool = false
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
    }

    /// The record with the wish that it end; unchanged when it is over already.
    package var cancelled: OperationRecord {
        var record = self
        if !state.isFinal { record.state = .cancelling }
        return record
    }

    package var shard: ShardID {
        switch kind {
        case .move(let collection, let shard, _, _): ShardID(collection: collection, number: shard)
        }
    }

    package var source: NodeID {
        switch kind {
        case .move(_, _, let from, _): from
        }
    }

    package var target: NodeID {
        switch kind {
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

package import DataModel

/// `operations/<id>`: a durable, cancellable operation that the controller carries out step by step.
package struct OperationRecord: ControlRecord {
    /// What is to be done. A kind that works on a shard changes its record; the others plan operations of their own,
    /// whose records name them as `parent`, and follow those.
    package enum Kind: Sendable, Codable, Equatable {
        /// Adds a replica on `to`, then removes the one on `from`.
        case move(collection: CollectionID, shard: ShardNumber, from: NodeID, to: NodeID)
        /// Adds a replica on `to`.
        case replicate(collection: CollectionID, shard: ShardNumber, to: NodeID)
        /// Takes the replica on `from` away.
        case dropReplica(collection: CollectionID, shard: ShardNumber, from: NodeID)
        /// Adds or drops replicas until each shard of the collection has `factor`; `former` is what it was before.
        case setReplicationFactor(collection: CollectionID, factor: Int, former: Int)
        /// The node gives all its replicas up, and gets none until it is undrained.
        case drain(node: NodeID)
        /// The node gives all its replicas up and is forgotten.
        case remove(node: NodeID)
        /// Carries a plan of moves out; `by` is what it evens out, nil for numbers of replicas, then bytes.
        case rebalance(by: BalanceMeasure?)
        /// Fills new shards with the points of others and puts them in their places: a split or a merge.
        case reshard(ReshardPlan)
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
    /// Steps that are planned and have no records of their own yet; nil when there are none.
    package var plan: [PlannedStep]?
    /// How many steps have records: the next one's number is one more.
    package var stepsRecorded: Int?
    /// How often new shards had to be filled anew; nil before that happened.
    package var restarts: Int?

    package init(
        id: String, kind: Kind, state: State = .planned, detail: String = "", reason: String, bytesTotal: UInt64 = 0,
        createdAt: Double, blockedSince: Double? = nil, hasStarted: Bool = false, parent: String? = nil,
        maxBytesPerSecond: UInt64? = nil, plan: [PlannedStep]? = nil
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
        self.plan = plan
    }

    /// The record with the wish that it end; unchanged when it is over already.
    package var cancelled: OperationRecord {
        var record = self
        if !state.isFinal { record.state = .cancelling }
        return record
    }
}

/// A step that an operation plans: it becomes an operation of its own.
package struct PlannedStep: Sendable, Codable, Equatable {
    package var kind: OperationRecord.Kind
    package var reason: String
    /// An estimate of what is to be sent.
    package var bytes: UInt64

    package init(kind: OperationRecord.Kind, reason: String, bytes: UInt64) {
        self.kind = kind
        self.reason = reason
        self.bytes = bytes
    }
}

extension OperationRecord.Kind {
    /// The collection whose map the operation changes.
    package var collection: CollectionID? {
        switch self {
        case .move(let collection, _, _, _), .replicate(let collection, _, _), .dropReplica(let collection, _, _),
            .setReplicationFactor(let collection, _, _):
            collection
        case .reshard(let plan): plan.collection
        case .drain, .remove, .rebalance: nil
        }
    }

    /// All shards that the operation changes, or replaces.
    package var shards: [ShardID] {
        switch self {
        case .reshard(let plan): plan.sources
        default: shard.map { [$0] } ?? []
        }
    }

    /// The shard whose record the operation changes: no two operations work on one at the same time.
    package var shard: ShardID? {
        switch self {
        case .move(let collection, let shard, _, _), .replicate(let collection, let shard, _),
            .dropReplica(let collection, let shard, _):
            ShardID(collection: collection, number: shard)
        case .setReplicationFactor, .drain, .remove, .rebalance, .reshard: nil
        }
    }

    /// The node that gives a replica up, or all that it has.
    package var source: NodeID? {
        switch self {
        case .move(_, _, let from, _), .dropReplica(_, _, let from): from
        case .drain(let node), .remove(let node): node
        case .replicate, .setReplicationFactor, .rebalance, .reshard: nil
        }
    }

    /// The node that gets a replica.
    package var target: NodeID? {
        switch self {
        case .move(_, _, _, let to), .replicate(_, _, let to): to
        case .dropReplica, .setReplicationFactor, .drain, .remove, .rebalance, .reshard: nil
        }
    }
}

/// `progress/<operation id>`: written by the node that sends the data, and by the one that has no room for it, beside the
/// operation so that the two never conflict.
package struct OperationProgress: ControlRecord {
    package var bytesDone: UInt64
    package var bytesTotal: UInt64
    /// Of one shard that is being filled (`progress/<operation id>/<shard number>`).
    package var filling: Filling?
    /// Why the copy cannot be made, and could not if it were begun anew: a node has no room for it. Nil while it can.
    package var lackOfRoom: String?

    package struct Filling: Sendable, Codable, Equatable {
        package enum Phase: String, Sendable, Codable {
            /// Points are being copied.
            case copying
            /// The writes of that time are being applied, and the graph built.
            case indexing
            /// It has nearly everything, follows the last writes, and may take over.
            case following
            /// It fell behind them again: more is written than it can apply.
            case behind
            /// It has to be begun anew.
            case failed
            /// Its node has no room for it, and would not have it if it were begun anew.
            case outOfSpace

            /// What is said of a shard that cannot be filled.
            package init(_ failure: ShardError) {
                self = if case .outOfSpace = failure { .outOfSpace } else { .failed }
            }
        }

        package var phase: Phase
        package var rows: UInt64
        /// Why it failed, or what it waits for.
        package var detail: String

        package init(phase: Phase, rows: UInt64, detail: String = "") {
            self.phase = phase
            self.rows = rows
            self.detail = detail
        }
    }

    package init(bytesDone: UInt64, bytesTotal: UInt64, filling: Filling? = nil, lackOfRoom: String? = nil) {
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
        self.filling = filling
        self.lackOfRoom = lackOfRoom
    }
}

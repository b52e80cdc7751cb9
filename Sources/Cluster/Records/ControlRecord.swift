package import DataModel
import Foundation

/// A value of the control store: JSON, so that an operator can read it.
package protocol ControlRecord: Codable, Sendable, Equatable {}

extension ControlRecord {
    /// The record as JSON with its keys in order: equal records have equal bytes.
    package var encoded: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try [UInt8](encoder.encode(self))
        } catch {
            preconditionFailure("a record of plain values did not encode: \(error)")
        }
    }

    /// Nil when the bytes are not such a record.
    package init?(encoded: [UInt8]) {
        guard let record = try? JSONDecoder().decode(Self.self, from: Data(encoded)) else { return nil }
        self = record
    }
}

/// A record and the revision that it was read at: what a guarded change of it needs.
package struct Stored<Record: ControlRecord>: Sendable, Equatable {
    package var value: Record
    package var revision: Revision

    package init(_ value: Record, revision: Revision) {
        self.value = value
        self.revision = revision
    }
}

/// `cluster`: the cluster's identity. Written once.
package struct ClusterRecord: ControlRecord {
    /// Raised when the records change in a way that older nodes cannot read.
    package static let currentFormatVersion = 1

    package var id: String
    package var formatVersion: Int

    package init(id: String, formatVersion: Int = currentFormatVersion) {
        self.id = id
        self.formatVersion = formatVersion
    }
}

/// `nodes/<id>`: where a node is reached. It stays when the node is down.
package struct NodeRecord: ControlRecord {
    package var id: NodeID
    /// `host:port` as clients reach it.
    package var httpAddress: String
    package var rpcHost: String
    package var rpcPort: Int
    /// What fails together with this node, such as a rack: replicas of a shard are kept in different ones. Nil for a
    /// node that is told from no other.
    package var zone: String?
    /// The incarnation that the node's data folder says it was last used by: one that says another is an older copy.
    /// Nil before it was first known.
    package var dataIncarnation: UInt64?

    package init(id: NodeID, httpAddress: String, rpcHost: String, rpcPort: Int, zone: String? = nil) {
        self.id = id
        self.httpAddress = httpAddress
        self.rpcHost = rpcHost
        self.rpcPort = rpcPort
        self.zone = zone
    }
}

/// `live/<id>`, attached to the node's lease: the node is alive as long as this exists.
package struct NodeLiveness: ControlRecord {
    package var id: NodeID
    /// Random for each start of the process, so that two of them are told apart.
    package var incarnation: UInt64
    package var pid: Int32
    /// Seconds since 1970.
    package var startedAt: Double

    package init(id: NodeID, incarnation: UInt64, pid: Int32, startedAt: Double) {
        self.id = id
        self.incarnation = incarnation
        self.pid = pid
        self.startedAt = startedAt
    }
}

/// `draining/<id>`: the node gives its replicas up, or has done so, and gets none. Beside the node's own record, which
/// each of its starts writes anew.
package struct DrainingRecord: ControlRecord {
    /// The operation that asked for it.
    package var operation: String

    package init(operation: String) { self.operation = operation }
}

/// `known/<id>`, attached to the node's lease: the node answers by records as they are at this revision, or later.
/// Written only where nodes do not ask the store before each answer.
package struct KnownRevision: ControlRecord {
    package var revision: UInt64

    package init(_ revision: Revision) { self.revision = revision.rawValue }
}

/// `migration`: no node starts on this store while it exists.
package struct MigrationRecord: ControlRecord {
    package enum State: String, Sendable, Codable {
        /// Everything was, or is being, copied to the other store: this one is out of date.
        case left
        /// The copy is not complete yet.
        case arriving
    }

    package var state: State
    /// What the other store is, for an operator.
    package var other: String

    package init(state: State, other: String) {
        self.state = state
        self.other = other
    }
}

/// `controller`, attached to the lease of the node that holds the role.
package struct ControllerRecord: ControlRecord {
    package var node: NodeID

    package init(node: NodeID) { self.node = node }
}

/// `collections/<name>`.
package struct CollectionRecord: ControlRecord {
    package enum State: String, Sendable, Codable {
        /// Its replicas may not exist on disk yet: only in this state may a node make an in-sync replica out of
        /// nothing.
        case creating
        case ready
        /// Its shards are being taken out of the map; it takes no requests.
        case deleting
    }

    package var id: CollectionID
    package var name: String
    package var config: CollectionConfig
    package var state: State
    /// Seconds since 1970.
    package var createdAt: Double
    /// While the collection is being filled from a snapshot: by which start of which node. Its replicas wait for files,
    /// and it goes away with that process.
    package var recovery: Recovery?
    /// The number of the next shard that a split or merge makes. A number is never given out twice: what a node that is
    /// away still has of a former shard must not pass for a new one. Nil before the first.
    package var nextShard: UInt32?

    package struct Recovery: Sendable, Codable, Equatable {
        package var node: NodeID
        package var incarnation: UInt64

        package init(node: NodeID, incarnation: UInt64) {
            self.node = node
            self.incarnation = incarnation
        }
    }

    package init(
        id: CollectionID, name: String, config: CollectionConfig, state: State, createdAt: Double,
        recovery: Recovery? = nil
    ) {
        self.id = id
        self.name = name
        self.config = config
        self.state = state
        self.createdAt = createdAt
        self.recovery = recovery
    }

    /// The name that a collection has until it takes the place of `name`. No client can ask for it: its colon is in no
    /// collection's name.
    package static func recoveringName(_ name: String, _ id: CollectionID) -> String { "\(name):recovering-\(id)" }

    /// The name that clients know, or will.
    package var publicName: Substring { name.prefix { $0 != ":" } }
}

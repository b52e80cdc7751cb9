package import DataModel

/// The keys of the control store.
package enum ControlKey {
    package static let cluster = "cluster"
    package static let controller = "controller"
    package static let migration = "migration"
    package static let nodes = "nodes/"
    package static let live = "live/"
    package static let known = "known/"
    package static let draining = "draining/"
    package static let collections = "collections/"
    package static let shards = "shards/"
    package static let operations = "operations/"
    package static let progress = "progress/"

    package static func node(_ id: NodeID) -> String { nodes + "\(id)" }
    package static func live(_ id: NodeID) -> String { live + "\(id)" }
    package static func known(_ id: NodeID) -> String { known + "\(id)" }
    package static func draining(_ id: NodeID) -> String { draining + "\(id)" }
    package static func collection(_ name: String) -> String { collections + name }
    package static func shards(of collection: CollectionID) -> String { shards + "\(collection)/" }
    package static func shard(_ id: ShardID) -> String { shards + "\(id.collection)/\(id.number)" }
    package static func operation(_ id: String) -> String { operations + id }
    package static func progress(_ operation: String) -> String { progress + operation }
    /// Of one of the shards that an operation fills.
    package static func progress(_ operation: String, _ shard: ShardNumber) -> String { progress + "\(operation)/\(shard)" }
}

extension ControlKey {
    /// A key taken apart; nil for keys that this version does not know.
    enum Parsed: Equatable {
        case cluster
        case controller
        case node(NodeID)
        case live(NodeID)
        case known(NodeID)
        case draining(NodeID)
        case collection(String)
        case shard(ShardID)
        case operation(String)
        case progress(String)

        init?(_ key: String) {
            guard let slash = key.firstIndex(of: "/") else {
                switch key {
                case ControlKey.cluster: self = .cluster
                case ControlKey.controller: self = .controller
                default: return nil
                }
                return
            }
            let rest = key[key.index(after: slash)...]
            switch key[...slash] {
            case ControlKey.nodes[...]:
                guard let id = UInt32(rest) else { return nil }
                self = .node(NodeID(id))
            case ControlKey.live[...]:
                guard let id = UInt32(rest) else { return nil }
                self = .live(NodeID(id))
            case ControlKey.known[...]:
                guard let id = UInt32(rest) else { return nil }
                self = .known(NodeID(id))
            case ControlKey.draining[...]:
                guard let id = UInt32(rest) else { return nil }
                self = .draining(NodeID(id))
            case ControlKey.collections[...]: self = .collection(String(rest))
            case ControlKey.shards[...]:
                let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
                guard parts.count == 2, let number = UInt32(parts[1]) else { return nil }
                self = .shard(ShardID(collection: CollectionID(String(parts[0])), number: ShardNumber(number)))
            case ControlKey.operations[...]: self = .operation(String(rest))
            case ControlKey.progress[...]: self = .progress(String(rest))
            default: return nil
            }
        }
    }
}

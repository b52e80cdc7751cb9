package import DataModel

/// All records of the control store at one revision.
package struct ClusterState: Sendable {
    package private(set) var revision: Revision = .zero
    package private(set) var cluster: Stored<ClusterRecord>?
    /// Every node that ever joined.
    package private(set) var nodes: [NodeID: Stored<NodeRecord>] = [:]
    /// The nodes that hold their lease.
    package private(set) var live: [NodeID: Stored<NodeLiveness>] = [:]
    /// The revision whose records each node surely answers by, where nodes say so.
    package private(set) var known: [NodeID: Revision] = [:]
    /// The nodes that shall hold nothing.
    package private(set) var draining: [NodeID: Stored<DrainingRecord>] = [:]
    /// The last change of a collection's or a shard's record.
    package private(set) var newestMapChange: Revision = .zero
    package private(set) var controller: Stored<ControllerRecord>?
    package private(set) var collections: [String: Stored<CollectionRecord>] = [:]
    package private(set) var shards: [CollectionID: [ShardNumber: Stored<ShardRecord>]] = [:]
    package private(set) var operations: [String: Stored<OperationRecord>] = [:]
    package private(set) var progress: [String: OperationProgress] = [:]
    /// Keys whose values this version cannot read. They count as absent.
    package private(set) var unreadableKeys: Set<String> = []

    private var names: [CollectionID: String] = [:]
    private var routingTables: [CollectionID: RoutingTable] = [:]

    package init() {}

    /// The state that a list of all keys describes.
    package init(entries: [ControlEntry], revision: Revision) {
        self.revision = revision
        var touched: Set<CollectionID> = []
        for entry in entries {
            noteChange(of: entry.key, entry.modRevision)
            put(entry, touched: &touched)
        }
        rebuildRouting(of: touched)
    }

    // MARK: - Looking up

    package func collection(_ name: String) -> Stored<CollectionRecord>? { collections[name] }

    package func collection(_ id: CollectionID) -> Stored<CollectionRecord>? {
        names[id].flatMap { collections[$0] }
    }

    package func shard(_ id: ShardID) -> Stored<ShardRecord>? { shards[id.collection]?[id.number] }

    /// The shards of a collection, in order of their numbers.
    package func shards(of collection: CollectionID) -> [Stored<ShardRecord>] {
        (shards[collection] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
    }

    /// Every shard of every collection that serves, in order of ids: not those that are still being filled.
    package var allShards: [Stored<ShardRecord>] {
        shards.keys.sorted().flatMap { servingShards(of: $0) }
    }

    /// The shards of a collection without those that are still being filled.
    package func servingShards(of collection: CollectionID) -> [Stored<ShardRecord>] {
        shards(of: collection).filter { $0.value.filling == nil }
    }

    /// The shards that an operation fills, in order of their numbers.
    package func fillingShards(of operation: OperationRecord) -> [Stored<ShardRecord>] {
        operation.kind.collection.map { shards(of: $0) }?.filter { $0.value.filling?.operation == operation.id } ?? []
    }

    /// Nil when there is no such collection.
    package func routing(of collection: CollectionID) -> RoutingTable? { routingTables[collection] }

    package func routing(of name: String) -> RoutingTable? {
        collections[name].flatMap { routingTables[$0.value.id] }
    }

    package func isLive(_ node: NodeID) -> Bool { live[node] != nil }

    /// That the node is alive or not as it is here, and its process the same: for decisions that arrive late.
    package func livenessGuard(_ node: NodeID) -> ControlGuard {
        ControlGuard(key: ControlKey.live(node), expected: live[node]?.revision)
    }

    package var liveNodes: Set<NodeID> { Set(live.keys) }

    package func isDraining(_ node: NodeID) -> Bool { draining[node] != nil }

    /// The nodes that may get replicas: alive, not being drained, and not removed from the cluster.
    package var acceptingNodes: Set<NodeID> { Set(live.keys.filter(accepts)) }

    package func accepts(_ node: NodeID) -> Bool { isLive(node) && nodes[node] != nil && !isDraining(node) }

    /// Whether no node answers by records that are older than `revision`: each has said that it knows them, or has lost
    /// the lease under which it might not have known them. A node reads the state anew after it took a lease and before
    /// it answers, so one that took its lease later knows them too.
    ///
    /// - Parameter exempt: nodes that may answer by older ones.
    /// - Precondition: the state is not older than `revision`.
    package func isKnown(_ revision: Revision, exempt: [NodeID] = []) -> Bool {
        precondition(self.revision >= revision, "an old state cannot tell")
        return live.allSatisfy { node, liveness in
            exempt.contains(node) || liveness.revision > revision || known[node].map { $0 >= revision } ?? false
        }
    }

    /// Whether the node has still to say that it knows the map as it is: by what the store has of it, since a word that
    /// comes late takes the place of a newer one.
    package func mustBeTold(by node: NodeID) -> Bool { newestMapChange > known[node] ?? .zero }

    /// The operations that are not over, oldest first.
    package var openOperations: [Stored<OperationRecord>] {
        operations.values.filter { !$0.value.state.isFinal }.sorted { Self.isBefore($0.value, $1.value) }
    }

    /// The steps that an operation has planned, in their order.
    package func steps(of operation: String) -> [Stored<OperationRecord>] {
        operations.values.filter { $0.value.parent == operation }.sorted { Self.isBefore($0.value, $1.value) }
    }

    /// By age; the steps of an operation, which are equally old, by their numbers.
    private static func isBefore(_ a: OperationRecord, _ b: OperationRecord) -> Bool {
        (a.createdAt, a.id.count, a.id) < (b.createdAt, b.id.count, b.id)
    }

    // MARK: - Following the store

    /// Takes in changes that follow this state, and stand for everything that happened up to `revision`.
    ///
    /// Changes that the state has already are skipped, so it does not matter when a watch starts a little early.
    package mutating func apply(_ events: [ControlEvent], upTo revision: Revision) {
        var touched: Set<CollectionID> = []
        for event in events where event.revision > self.revision {
            noteChange(of: event.key, event.revision)
            remove(event.key, touched: &touched)
            if case .put(let entry) = event { put(entry, touched: &touched) }
        }
        self.revision = max(self.revision, revision)
        rebuildRouting(of: touched)
    }

    private mutating func noteChange(of key: String, _ revision: Revision) {
        guard key.hasPrefix(ControlKey.shards) || key.hasPrefix(ControlKey.collections) else { return }
        newestMapChange = max(newestMapChange, revision)
    }

    private mutating func put(_ entry: ControlEntry, touched: inout Set<CollectionID>) {
        switch ControlKey.Parsed(entry.key) {
        case .cluster: cluster = stored(entry)
        case .controller: controller = stored(entry)
        case .node(let id): nodes[id] = stored(entry)
        case .live(let id): live[id] = stored(entry)
        case .known(let id):
            let record: Stored<KnownRevision>? = stored(entry)
            known[id] = record.map { Revision($0.value.revision) }
        case .draining(let id): draining[id] = stored(entry)
        case .collection(let name):
            guard let record: Stored<CollectionRecord> = stored(entry) else { return }
            collections[name] = record
            names[record.value.id] = name
            touched.insert(record.value.id)
        case .shard(let id):
            guard let record: Stored<ShardRecord> = stored(entry) else { return }
            shards[id.collection, default: [:]][id.number] = record
            touched.insert(id.collection)
        case .operation(let id): operations[id] = stored(entry)
        case .progress(let id):
            let record: Stored<OperationProgress>? = stored(entry)
            progress[id] = record?.value
        case nil: break
        }
    }

    private mutating func remove(_ key: String, touched: inout Set<CollectionID>) {
        unreadableKeys.remove(key)
        switch ControlKey.Parsed(key) {
        case .cluster: cluster = nil
        case .controller: controller = nil
        case .node(let id): nodes[id] = nil
        case .live(let id): live[id] = nil
        case .known(let id): known[id] = nil
        case .draining(let id): draining[id] = nil
        case .collection(let name):
            guard let old = collections.removeValue(forKey: name) else { return }
            // A recovery gives a collection another name: the order of the two changes does not matter.
            if names[old.value.id] == name { names[old.value.id] = nil }
            touched.insert(old.value.id)
        case .shard(let id):
            shards[id.collection]?[id.number] = nil
            if shards[id.collection]?.isEmpty == true { shards[id.collection] = nil }
            touched.insert(id.collection)
        case .operation(let id): operations[id] = nil
        case .progress(let id): progress[id] = nil
        case nil: break
        }
    }

    private mutating func stored<Record: ControlRecord>(_ entry: ControlEntry) -> Stored<Record>? {
        guard let record = Record(encoded: entry.value) else {
            unreadableKeys.insert(entry.key)
            return nil
        }
        return Stored(record, revision: entry.modRevision)
    }

    private mutating func rebuildRouting(of touched: Set<CollectionID>) {
        for id in touched {
            routingTables[id] = collection(id).map { RoutingTable(collection: $0, shards: servingShards(of: id)) }
        }
    }
}

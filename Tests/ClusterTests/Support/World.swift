import Cluster
import DataModel

/// The control store of a simulated cluster: records in memory, with the state that they make up.
struct World {
    private(set) var entries: [String: ControlEntry] = [:]
    private(set) var state = ClusterState()
    private var revision = Revision.zero

    /// False on a conflict.
    @discardableResult
    mutating func commit(guards: [ControlGuard] = [], _ mutations: [ControlMutation]) -> Bool {
        for condition in guards where entries[condition.key]?.modRevision != condition.expected { return false }
        revision = Revision(revision.rawValue + 1)
        var events: [ControlEvent] = []
        for mutation in mutations {
            switch mutation {
            case .put(let key, let value, let lease):
                let entry = ControlEntry(key: key, value: value, modRevision: revision, lease: lease)
                entries[key] = entry
                events.append(.put(entry))
            case .delete(let key):
                if entries.removeValue(forKey: key) != nil { events.append(.delete(key: key, revision: revision)) }
            }
        }
        state.apply(events, upTo: revision)
        return true
    }

    @discardableResult
    mutating func commit(_ action: ControlAction) -> Bool { commit(guards: action.guards, action.mutations) }

    mutating func put(_ key: String, _ record: some ControlRecord) { commit([.put(key: key, value: record.encoded)]) }

    /// The same state, read as a whole.
    var listedState: ClusterState { ClusterState(entries: Array(entries.values), revision: revision) }

    // MARK: - Nodes

    mutating func join(_ node: NodeID, zone: String? = nil, startedAt: Double = 0) {
        put(
            ControlKey.node(node),
            NodeRecord(id: node, httpAddress: "h:\(node)", rpcHost: "h", rpcPort: Int(node.rawValue), zone: zone))
        rise(node, startedAt: startedAt)
    }

    mutating func rise(_ node: NodeID, startedAt: Double = 0) {
        put(ControlKey.live(node), NodeLiveness(id: node, incarnation: 1, pid: 1, startedAt: startedAt))
    }

    mutating func fall(_ node: NodeID) {
        var mutations = [ControlMutation.delete(key: ControlKey.live(node))]
        if state.controller?.value.node == node { mutations.append(.delete(key: ControlKey.controller)) }
        commit(mutations)
    }

    /// The controller, elected anew when there is none.
    mutating func controller() -> NodeID? {
        if let controller = state.controller { return controller.value.node }
        guard let node = state.liveNodes.min() else { return nil }
        put(ControlKey.controller, ControllerRecord(node: node))
        return node
    }

    /// Runs the controller until it has nothing more to do.
    @discardableResult
    mutating func settle(now: Double = 1_000, options: Controller.Options = .init(), rounds: Int = 100) -> [String] {
        var done: [String] = []
        for _ in 0..<rounds {
            guard let node = controller() else { break }
            let actions = Controller.reconcile(state, as: node, now: now, options: options)
            if actions.isEmpty { break }
            for action in actions where commit(action) { done.append(action.summary) }
        }
        return done
    }

    // MARK: - Collections

    @discardableResult
    mutating func create(
        _ name: String, shards: Int = 3, replicas: Int = 2, state: CollectionRecord.State = .ready
    ) throws -> CollectionID {
        let id = CollectionID(String(repeating: "0", count: 31) + name)
        let config = CollectionConfig(
            spaces: [VectorSpace(name: "", dimension: 4, distance: .cosine)], physicalShards: shards,
            replicationFactor: replicas)
        let records = try Placement.place(id, config: config, in: self.state)
        let collection = CollectionRecord(id: id, name: name, config: config, state: state, createdAt: 0)
        commit(
            [.put(key: ControlKey.collection(name), value: collection.encoded)]
                + records.map { .put(key: ControlKey.shard($0.id), value: $0.encoded) })
        return id
    }

    func shard(_ collection: CollectionID, _ number: UInt32) -> ShardRecord? {
        state.shard(ShardID(collection: collection, number: ShardNumber(number)))?.value
    }

    mutating func change(_ shard: ShardID, _ body: (inout ShardRecord) -> Void) {
        guard var record = state.shard(shard)?.value else { return }
        body(&record)
        put(ControlKey.shard(shard), record)
    }

    mutating func plan(_ id: String, _ shard: ShardID, from: NodeID, to: NodeID, createdAt: Double = 1_000) {
        put(
            ControlKey.operation(id),
            OperationRecord(
                id: id, kind: .move(collection: shard.collection, shard: shard.number, from: from, to: to),
                reason: "a test", createdAt: createdAt))
    }

    mutating func begin(_ id: String, _ kind: OperationRecord.Kind, plan: [PlannedStep]? = nil) {
        put(
            ControlKey.operation(id),
            OperationRecord(id: id, kind: kind, reason: "a test", createdAt: 1_000, plan: plan))
    }

    mutating func cancel(_ id: String) {
        if let record = operation(id) { put(ControlKey.operation(id), record.cancelled) }
    }

    /// What the shards' primaries do: catching up comes to its end, roles are handed over.
    mutating func replicate() {
        let live = state.liveNodes
        for shard in state.allShards.map(\.value) where live.contains(shard.primary) {
            change(shard.id) { record in
                for replica in record.replicas where replica.state == .catchingUp && live.contains(replica.node) {
                    record = (try? record.promoting(replica.node, by: record.primary)) ?? record
                }
                if let heir = record.handover {
                    record = (try? record.handingOver(to: heir, by: record.primary)) ?? record
                }
            }
        }
    }

    /// Runs controller and replication until nothing changes any more.
    mutating func runToEnd(now: Double = 1_000, options: Controller.Options = .init(), rounds: Int = 500) {
        for _ in 0..<rounds {
            let before = revision
            settle(now: now, options: options)
            if revision == before,
                state.allShards.allSatisfy({ shard in
                    shard.value.handover == nil
                        && shard.value.replicas.allSatisfy { $0.state == .inSync || !state.isLive($0.node) }
                })
            {
                return
            }
            replicate()
        }
    }

    /// Of each node, how many replicas it holds.
    var replicaCounts: [UInt32: Int] {
        state.allShards.flatMap(\.value.replicas).reduce(into: [:]) { $0[$1.node.rawValue, default: 0] += 1 }
    }

    func operation(_ id: String) -> OperationRecord? { state.operations[id]?.value }
}

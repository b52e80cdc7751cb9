import Cluster
import DataModel

/// The control store: linearizable, with leases that end by its own clock. Nodes reach it through `SimulatedNode.ask`.
final class SimulatedStore {
    private struct Lease {
        let owner: NodeID
        let incarnation: Int
        let time: Int
        var endsAt: Int
    }

    private unowned let simulation: Simulation
    private(set) var entries: [String: ControlEntry] = [:]
    private(set) var revision = Revision.zero
    /// By key: transactions that outlive their senders, messages to a store on another machine.
    private var changesUnderWay: [String: Int] = [:]
    /// Microseconds that some changes wait at the most before they are carried out, while others overtake them.
    var slowness = 0
    private var history: [ControlEvent] = []
    private var leases: [LeaseID: Lease] = [:]
    private var granted: UInt64 = 0
    /// The newest record of each shard.
    private(set) var records: [ShardID: Stored<ShardRecord>] = [:]

    init(_ simulation: Simulation) { self.simulation = simulation }

    // MARK: - Transactions

    func commit(guards: [ControlGuard], _ mutations: [ControlMutation]) -> Result<TransactionOutcome, ControlStoreError>
    {
        for case .put(_, _, let lease?) in mutations where leases[lease] == nil {
            return .failure(.leaseExpired(lease))
        }
        for condition in guards where entries[condition.key]?.modRevision != condition.expected {
            return .success(.conflict)
        }
        revision = Revision(revision.rawValue + 1)
        for mutation in mutations {
            switch mutation {
            case .put(let key, let value, let lease):
                let entry = ControlEntry(key: key, value: value, modRevision: revision, lease: lease)
                entries[key] = entry
                history.append(.put(entry))
            case .delete(let key):
                if entries.removeValue(forKey: key) != nil { history.append(.delete(key: key, revision: revision)) }
            }
        }
        noteRecords(mutations.filter { $0.key.hasPrefix(ControlKey.shards) })
        return .success(.committed(revision))
    }

    func isChangeUnderWay(of key: String? = nil) -> Bool {
        changesUnderWay.contains { $0.value > 0 && $0.key == key ?? $0.key }
    }

    func changesBegin(of keys: [String]) { for key in keys { changesUnderWay[key, default: 0] += 1 } }
    func changesEnd(of keys: [String]) { for key in keys { changesUnderWay[key, default: 0] -= 1 } }

    func put(_ key: String, _ record: some ControlRecord) {
        _ = commit(guards: [], [.put(key: key, value: record.encoded)])
    }

    /// In order of ids.
    var operations: [OperationRecord] {
        entries.filter { $0.key.hasPrefix(ControlKey.operations) }.values
            .compactMap { OperationRecord(encoded: $0.value) }.sorted { $0.id < $1.id }
    }

    /// The shards that answer, in order of their numbers.
    var serving: [ShardRecord] { all.filter { $0.filling == nil } }

    /// Also those that are being filled.
    var all: [ShardRecord] { records.sorted { $0.key < $1.key }.map(\.value.value) }

    var collection: CollectionRecord? {
        entries[ControlKey.collection("c")].flatMap { CollectionRecord(encoded: $0.value) }
    }

    private func noteRecords(_ mutations: [ControlMutation]) {
        guard !mutations.isEmpty else { return }
        let former = records
        for mutation in mutations {
            switch mutation {
            case .delete(let key):
                if let id = records.keys.first(where: { ControlKey.shard($0) == key }) { records[id] = nil }
                simulation.trace("store: \(key) is gone")
            case .put(_, let value, _):
                guard let record = ShardRecord(encoded: value) else { continue }
                records[record.id] = Stored(record, revision: revision)
                simulation.trace(
                    "store: shard \(record.id.number) epoch \(record.epoch) primary \(record.primary) "
                        + "in sync \(record.inSync) of \(record.replicas.map(\.node)) "
                        + "handover \(record.handover?.description ?? "-")\(record.filling == nil ? "" : " filling")")
            }
        }
        simulation.judge.mapChanged(from: former)
    }

    func changes(after revision: Revision) -> [ControlEvent] {
        // The history ascends in revisions.
        var (low, high) = (0, history.count)
        while low < high {
            let middle = (low + high) / 2
            if history[middle].revision <= revision { low = middle + 1 } else { high = middle }
        }
        return Array(history[low...])
    }

    // MARK: - Leases

    func grant(to node: SimulatedNode, time: Int) -> LeaseID {
        granted += 1
        let lease = LeaseID(granted)
        leases[lease] = Lease(
            owner: node.id, incarnation: node.incarnation, time: time, endsAt: simulation.now + time)
        expireLater(lease)
        return lease
    }

    func keepAlive(_ id: LeaseID) -> Result<Void, ControlStoreError> {
        guard let lease = leases[id], lease.endsAt > simulation.now else { return .failure(.leaseExpired(id)) }
        leases[id]?.endsAt = simulation.now + lease.time
        return .success(())
    }

    func revoke(_ id: LeaseID) {
        guard leases.removeValue(forKey: id) != nil else { return }
        let keys = entries.values.filter { $0.lease == id }.map(\.key).sorted()
        if !keys.isEmpty { simulation.trace("store: lease \(id) is over, and with it \(keys.joined(separator: " "))") }
        if !keys.isEmpty { _ = commit(guards: [], keys.map { .delete(key: $0) }) }
    }

    private func expireLater(_ id: LeaseID) {
        guard let lease = leases[id] else { return }
        simulation.after(max(lease.endsAt - simulation.now, 0)) { [unowned self] in
            guard let lease = leases[id] else { return }
            if lease.endsAt <= simulation.now { revoke(id) } else { expireLater(id) }
        }
    }

    /// On one machine a dead process is noticed by its file lock.
    func noticeDeath(of node: NodeID, incarnation: Int) {
        for (id, lease) in leases.sorted(by: { $0.key < $1.key })
        where lease.owner == node && lease.incarnation == incarnation { revoke(id) }
    }
}

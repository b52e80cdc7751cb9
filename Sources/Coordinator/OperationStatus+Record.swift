import Cluster
import DataModel
import Foundation

extension OperationStatus {
    /// For how long an operation that is over is shown.
    private static let historySeconds: Double = 24 * 60 * 60

    /// All that are open, and those of the last day; newest first.
    static func recent(in state: ClusterState) -> [OperationStatus] {
        let oldest = Date().timeIntervalSince1970 - historySeconds
        return state.operations.values.map(\.value).filter { !$0.state.isFinal || $0.createdAt >= oldest }
            .sorted { ($1.createdAt, $1.id.count, $1.id) < ($0.createdAt, $0.id.count, $0.id) }
            .map { OperationStatus($0, in: state) }
    }

    init(_ operation: OperationRecord, in state: ClusterState) {
        let kind = operation.kind
        let words = OperationWords(kind, in: state)
        let steps = state.steps(of: operation.id).map(\.value)
        let waiting = operation.plan ?? []
        var bytes = Self.bytes(of: operation, in: state)
        if !steps.isEmpty || !waiting.isEmpty {
            bytes = steps.map { Self.bytes(of: $0, in: state) }.reduce((done: 0, total: 0)) {
                ($0.done + $1.done, $0.total + $1.total)
            }
            bytes.total += waiting.reduce(0) { $0 + $1.bytes }
        }
        self.init(
            id: operation.id, kind: words.kind, subject: words.subject,
            collection: kind.collection.map { OperationWords.name(of: $0, in: state) }, shard: kind.shard?.number,
            from: kind.source, to: kind.target, parent: operation.parent, state: State(operation.state),
            detail: operation.detail, reason: operation.reason, bytesDone: bytes.done, bytesTotal: bytes.total,
            stepsDone: steps.count { $0.state == .done }, stepsTotal: steps.count + waiting.count,
            createdAt: operation.createdAt)
    }

    private static func bytes(of operation: OperationRecord, in state: ClusterState) -> (done: UInt64, total: UInt64) {
        if case .reshard = operation.kind, operation.state != .done {
            let parts = state.progress.filter { $0.key.hasPrefix(operation.id + "/") }.values
            return (parts.reduce(0) { $0 + $1.bytesDone }, operation.bytesTotal)
        }
        if let progress = state.progress[operation.id] { return (progress.bytesDone, progress.bytesTotal) }
        return (operation.state == .done ? operation.bytesTotal : 0, operation.bytesTotal)
    }
}

/// A kind of operation in words.
struct OperationWords {
    /// As the command is called.
    let kind: String
    let subject: String

    init(_ kind: OperationRecord.Kind, in state: ClusterState) {
        switch kind {
        case .move(let collection, let shard, let from, let to):
            self.init("move", "\(Self.name(of: collection, in: state))/\(shard) node \(from) -> \(to)")
        case .replicate(let collection, let shard, let to):
            self.init("replicate", "\(Self.name(of: collection, in: state))/\(shard) to node \(to)")
        case .dropReplica(let collection, let shard, let from):
            self.init("drop-replica", "\(Self.name(of: collection, in: state))/\(shard) on node \(from)")
        case .setReplicationFactor(let collection, let factor, _):
            self.init("set-replication-factor", "\(Self.name(of: collection, in: state)) to \(factor)")
        case .drain(let node): self.init("drain", "node \(node)")
        case .remove(let node): self.init("remove", "node \(node)")
        case .rebalance(let measure): self.init("rebalance", measure.map { "by \($0.rawValue)" } ?? "")
        case .reshard(let plan):
            let shards = plan.from.map(\.description).joined(separator: "+")
            self.init(
                plan.isSplit ? "split" : "merge",
                "\(Self.name(of: plan.collection, in: state))/\(shards) into \(plan.into.count)")
        }
    }

    private init(_ kind: String, _ subject: String) {
        self.kind = kind
        self.subject = subject
    }

    /// The collection's name, or its id when it is gone.
    static func name(of collection: CollectionID, in state: ClusterState) -> String {
        state.collection(collection)?.value.name ?? collection.rawValue
    }
}

extension OperationStatus.State {
    fileprivate init(_ state: OperationRecord.State) {
        switch state {
        case .planned: self = .planned
        case .running, .cancelling: self = .running
        case .done: self = .done
        case .failed: self = .failed
        case .cancelled: self = .cancelled
        }
    }
}

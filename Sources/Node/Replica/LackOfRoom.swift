import Cluster
import DataModel

/// How the controller learns that a node has no room for the copy that an operation makes.
extension ClusterStateCache {
    /// Tells the controller of a failure that is lack of room; any other may pass. Should the word be lost, the next
    /// try fails as well and says it again.
    ///
    /// - Parameter full: the node without room, which sends the copy or is `target`.
    func noteLackOfRoom(
        _ failure: ShardError, on full: NodeID, for shard: ShardID, copiedTo target: NodeID
    ) async {
        guard case .outOfSpace(let reason) = failure, let operation = runningCopy(of: shard, to: target),
            current.progress[operation.id]?.lackOfRoom == nil
        else { return }
        var progress =
            current.progress[operation.id] ?? OperationProgress(bytesDone: 0, bytesTotal: operation.bytesTotal)
        let copy = full == target ? "a copy" : "the copy that it sends"
        progress.lackOfRoom = "node \(full) has no room for \(copy): \(reason)"
        _ = try? await store.put(ControlKey.progress(operation.id), value: progress.encoded)
    }

    /// Why the copy cannot be made, when somebody has said so.
    func lackOfRoom(for shard: ShardID, copiedTo target: NodeID) -> String? {
        runningCopy(of: shard, to: target).flatMap { current.progress[$0.id]?.lackOfRoom }
    }

    /// The operation that gives the node its replica. One that catches up after an outage has none, and tries on.
    private func runningCopy(of shard: ShardID, to target: NodeID) -> OperationRecord? {
        guard let record = current.shard(shard)?.value, record.replica(on: target)?.state == .catchingUp else { return nil }
        // A split or merge makes its copies too.
        if let filling = record.filling { return current.operations[filling.operation]?.value }
        return current.openOperations.first {
            $0.value.state == .running && $0.value.kind.shard == shard && $0.value.kind.target == target
        }?.value
    }
}

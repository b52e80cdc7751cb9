package import DataModel

/// What a backup makes of its primary's messages. Pure.
package enum BackupRole {
    package enum Admission: Sendable, Equatable {
        case accept
        case refuse(ShardError)
        /// The sender knows a newer epoch than we do: read the shard's record anew and ask again. If the epoch is then
        /// still newer, refuse with `notServing`.
        case refreshFirst
    }

    package enum Append: Sendable, Equatable {
        /// Apply the records but the first few, which are here already. Possibly nothing is left.
        case apply(dropFirst: Int)
        case refuse(ShardError)
    }

    /// Whether a message of a primary is accepted by the replica on `node`.
    ///
    /// A replica that has seen an epoch takes nothing of older ones, so a primary that was replaced cannot change it.
    package static func admit(epoch: Epoch, record: ShardRecord, node: NodeID) -> Admission {
        if epoch < record.epoch { return .refuse(.staleEpoch(current: record.epoch)) }
        if epoch > record.epoch { return .refreshFirst }
        if record.replica(on: node) == nil { return .refuse(.notHosted(record.id)) }
        if record.primary == node { return .refuse(.notServing(reason: "node \(node) is the primary itself")) }
        return .accept
    }

    /// The same by the state that a node has. One that was not read since the message came may lack what the sender
    /// knows, and then says `refreshFirst`; a fresh one decides.
    package static func admit(
        epoch: Epoch, to shard: ShardID, on node: NodeID, in state: ClusterState, isFresh: Bool
    ) -> Admission {
        guard let record = state.shard(shard)?.value, isFresh || record.replica(on: node) != nil else {
            return isFresh ? .refuse(.notHosted(shard)) : .refreshFirst
        }
        let admission = admit(epoch: epoch, record: record, node: node)
        guard isFresh, admission == .refreshFirst else { return admission }
        return .refuse(.notServing(reason: "epoch \(epoch) is not known yet"))
    }

    /// Why the replica's data may not be replaced by a snapshot; nil when it may.
    ///
    /// Only a replica that catches up may be: an in-sync one may be the last with some acknowledged write.
    ///
    /// - Parameter state: read since the message came.
    package static func refusalOfReplacement(of shard: ShardID, on node: NodeID, in state: ClusterState) -> ShardError?
    {
        state.shard(shard)?.value.isInSync(node) == false
            ? nil : .invalid(reason: "the replica is in sync, and is not replaced")
    }

    /// What to do with records that follow `previous` when the log ends at `position`.
    ///
    /// A batch that was sent twice is recognised by its positions. A gap or another history is refused; the primary
    /// then opens the replica anew.
    package static func append(
        _ records: [LogRecord], after previous: LogPosition, at position: LogPosition
    ) -> Append {
        if position == previous { return .apply(dropFirst: 0) }
        if position.sequence < previous.sequence {
            return .refuse(
                .invalid(reason: "records after \(previous.sequence) leave a gap after \(position.sequence)"))
        }
        if let index = records.firstIndex(where: { $0.position == position }) { return .apply(dropFirst: index + 1) }
        return .refuse(
            .invalid(
                reason:
                    "the log ends at \(position.sequence) in epoch \(position.epoch), which the records do not follow"))
    }
}

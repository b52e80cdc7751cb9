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

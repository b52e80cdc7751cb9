package import DataModel

/// Why a change of a shard's record is not allowed.
package enum ShardTransitionError: Error, Sendable, Equatable {
    /// Only the primary changes the in-sync set or hands over.
    case notPrimary(NodeID)
    case noSuchReplica(NodeID)
    /// The replica is in the other state already.
    case wrongState(NodeID)
    /// The primary is in sync with itself; another one must take over first.
    case isPrimary(NodeID)
}

/// The changes that a primary makes by compare-and-swap; each raises the epoch.
extension ShardRecord {
    /// Takes a backup out of the in-sync set, so that writes no longer wait for it.
    package func demoting(_ backup: NodeID, by caller: NodeID) throws(ShardTransitionError) -> ShardRecord {
        guard caller == primary else { throw .notPrimary(caller) }
        guard backup != primary else { throw .isPrimary(backup) }
        guard let index = replicas.firstIndex(where: { $0.node == backup }) else { throw .noSuchReplica(backup) }
        guard replicas[index].state == .inSync else { throw .wrongState(backup) }
        var record = self
        record.replicas[index].state = .catchingUp
        if record.handover == backup { record.handover = nil }
        record.epoch = epoch.next
        return record
    }

    /// Takes a replica that holds every acknowledged write into the in-sync set.
    package func promoting(_ replica: NodeID, by caller: NodeID) throws(ShardTransitionError) -> ShardRecord {
        guard caller == primary else { throw .notPrimary(caller) }
        guard let index = replicas.firstIndex(where: { $0.node == replica }) else { throw .noSuchReplica(replica) }
        guard replicas[index].state == .catchingUp else { throw .wrongState(replica) }
        var record = self
        record.replicas[index].state = .inSync
        record.epoch = epoch.next
        return record
    }

    /// Passes the primary's role to another in-sync replica.
    package func handingOver(to target: NodeID, by caller: NodeID) throws(ShardTransitionError) -> ShardRecord {
        guard caller == primary else { throw .notPrimary(caller) }
        guard target != primary else { throw .isPrimary(target) }
        guard replica(on: target) != nil else { throw .noSuchReplica(target) }
        guard isInSync(target) else { throw .wrongState(target) }
        var record = self
        record.primary = target
        record.handover = nil
        record.epoch = epoch.next
        return record
    }
}

/// The change that a replica makes itself.
extension ShardRecord {
    /// The same in a new epoch: what a replica told in the old one counts no more, and what it wrote in it is told apart
    /// from what comes.
    package var renewed: ShardRecord {
        var record = self
        record.epoch = epoch.next
        return record
    }
}

/// The changes that the controller makes.
extension ShardRecord {
    /// Makes an in-sync replica the primary, and takes the in-sync replicas on `dead` nodes out of the set.
    ///
    /// - Precondition: `target` is in sync and not dead.
    package func failingOver(to target: NodeID, dead: Set<NodeID>) -> ShardRecord {
        precondition(isInSync(target) && !dead.contains(target))
        var record = self
        record.primary = target
        for index in record.replicas.indices where dead.contains(record.replicas[index].node) {
            record.replicas[index].state = .catchingUp
        }
        if let handover, !record.isInSync(handover) || handover == target { record.handover = nil }
        record.epoch = epoch.next
        return record
    }

    /// Adds a replica that has nothing yet. The in-sync set stays as it is, so the epoch does too.
    ///
    /// - Precondition: the node has no replica.
    func adding(_ node: NodeID) -> ShardRecord {
        precondition(replica(on: node) == nil)
        var record = self
        record.replicas.append(ReplicaRecord(node: node, state: .catchingUp))
        return record
    }

    /// A shard that has been filled, as it begins to serve.
    ///
    /// The epoch grows by two, as if a replica had left the in-sync set in between: nothing is acknowledged before every
    /// node knows that the former shards are gone, where nodes answer by records that may be old.
    package var serving: ShardRecord {
        var record = self
        record.filling = nil
        record.epoch = epoch.next.next
        return record
    }

    /// Takes a replica out of the map.
    ///
    /// - Precondition: it is not the primary's.
    func removing(_ node: NodeID) -> ShardRecord {
        precondition(node != primary)
        var record = self
        record.replicas.removeAll { $0.node == node }
        if record.handover == node { record.handover = nil }
        record.epoch = epoch.next
        return record
    }
}

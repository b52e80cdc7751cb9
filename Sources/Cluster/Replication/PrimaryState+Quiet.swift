import DataModel

extension PrimaryState {
    /// Whether nothing comes of the passing of time: every backup has everything, or is out of the in-sync set and dead.
    /// Of a node's thousands of shards nearly all are so at any moment.
    package var isQuiet: Bool {
        record.value.handover == nil && heldUntil == nil
            && backups.allSatisfy { node, backup in
                switch (record.value.isInSync(node), liveNodes.contains(node), backup.phase) {
                case (true, true, .idle): backup.acked?.sequence == committed.sequence
                case (false, false, .closed): backup.joinPoint == nil
                default: false
                }
            }
    }
}

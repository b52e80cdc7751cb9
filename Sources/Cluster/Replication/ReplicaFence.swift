package import DataModel

/// Keeps the changes that an epoch makes to a replica apart from those of later epochs. Pure.
///
/// A change takes its time on the disk. Were one of a former primary still under way when the next primary asks what the
/// replica has, it would come on top of the answer, and the two would differ without anybody's knowing until the next
/// write. So a replica that has heard from an epoch begins no change of an older one, and says what it has only when the
/// older ones have ended.
package struct ReplicaFence: Sendable {
    package enum Passage: Sendable, Equatable {
        case open
        /// Changes of older epochs are under way: ask again.
        case wait
        case refuse(ShardError)
    }

    /// The newest epoch that was heard from. Never falls.
    package private(set) var epoch = Epoch(0)
    /// How many changes are under way, by epoch.
    private var changes: [Epoch: Int] = [:]
    private var isReplacing = false

    package init() {}

    /// Asks whether a change in this epoch may begin. After nil, `end` must follow.
    package mutating func begin(in epoch: Epoch) -> ShardError? {
        if let refusal = refusal(of: epoch) { return refusal }
        self.epoch = epoch
        changes[epoch, default: 0] += 1
        return nil
    }

    package mutating func end(in epoch: Epoch) {
        guard let count = changes[epoch] else { preconditionFailure("a change ended that did not begin") }
        changes[epoch] = count > 1 ? count - 1 : nil
    }

    /// Ends all older epochs: once `open`, what the replica has is what this one begins with.
    package mutating func raise(to epoch: Epoch) -> Passage {
        if let refusal = refusal(of: epoch) { return .refuse(refusal) }
        self.epoch = epoch
        return changes.keys.contains { $0 < epoch } ? .wait : .open
    }

    /// Asks whether a snapshot may replace everything. After nil, `endReplacement` must follow; until then nothing else
    /// happens.
    package mutating func beginReplacement(in epoch: Epoch) -> ShardError? {
        if let refusal = refusal(of: epoch) { return refusal }
        self.epoch = epoch
        isReplacing = true
        return nil
    }

    package mutating func endReplacement() { isReplacing = false }

    private func refusal(of epoch: Epoch) -> ShardError? {
        if epoch < self.epoch { return .staleEpoch(current: self.epoch) }
        return isReplacing ? .notServing(reason: "the replica is being replaced by a snapshot") : nil
    }
}

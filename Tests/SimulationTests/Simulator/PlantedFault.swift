/// A check that is left out, to prove that the simulator finds what it is there for. The code of the product has no such
/// switches: the fault is in what the simulated nodes make of its decisions.
enum PlantedFault: String, CaseIterable {
    /// The primary takes a backup for removed when it has only asked for that.
    case acknowledgesBeforeTheInSyncSetIsChanged
    /// A backup takes what a primary of any epoch sends.
    case ignoresEpochs
    /// A replica answers by the record that it knows, whether its node holds its lease or not.
    case servesAfterTheLease
    /// Sequences are compared without the epochs that they were written in, so a tail of a former primary stays.
    case ignoresTheEpochOfThePreviousEntry
    /// The log keeps nothing for those that still need it.
    case trimsTheLogTooEarly
    /// The controller takes any live replica for the next primary.
    case electsReplicasThatAreNotInSync
    /// A replica says what it has while a former primary's write is on its way to the disk.
    case answersWhileOlderWritesAreUnderWay
    /// A replica without files starts with none, and counts as in sync.
    case beginsEmptyInSync
    /// So does a backup of a shard that is being filled.
    case beginsEmptyWhileTheShardIsFilled
    /// A primary acknowledges although a replica that was taken out of the in-sync set may not know it.
    case acknowledgesBeforeAllKnow
    /// A promotion that may have been written counts as one that was not.
    case forgetsPromotionsOfUnknownOutcome
    /// A replica that is filled anew sets its data aside, and what it told before still counts.
    case emptiesAReplicaWithinAnEpoch
    /// A cut-over takes the last write that is there for the last one that comes.
    case replacesShardsThatTakeWrites
    /// A cut-over that comes late does not ask whether the old shards have taken writes again.
    case replacesShardsWhateverBecameOfThem
}

extension PlantedFault {
    /// Whether it can show in such a world.
    func mayShow(in profile: Profile) -> Bool {
        switch self {
        case .replacesShardsThatTakeWrites: profile.faults.reshardings
        case .beginsEmptyWhileTheShardIsFilled: profile.faults.reshardings && profile.faults.lostDisks
        case .replacesShardsWhateverBecameOfThem: profile.faults.reshardings && profile.faults.slowStore
        default: true
        }
    }
}

/// A hot copy of a replica's files that waits on its node to be read.
package struct SnapshotCopy: Sendable, Equatable {
    /// Names the copy on its node; the last write that it holds; its files.
    package var offer: SnapshotOffer
    /// XXH3 (64 bits) of each file, by its name.
    package var checksums: [String: UInt64]

    package init(offer: SnapshotOffer, checksums: [String: UInt64]) {
        self.offer = offer
        self.checksums = checksums
    }
}

/// A request for bytes of one file of a copy.
package struct SnapshotPiece: Sendable, Equatable {
    package var transfer: UInt64
    package var file: String
    package var offset: UInt64
    package var count: UInt32

    package init(transfer: UInt64, file: String, offset: UInt64, count: UInt32) {
        self.transfer = transfer
        self.file = file
        self.offset = offset
        self.count = count
    }
}

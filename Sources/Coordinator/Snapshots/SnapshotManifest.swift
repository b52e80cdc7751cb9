package import DataModel

/// What a snapshot of a collection holds: its last file, in JSON.
package struct SnapshotManifest: Sendable, Codable, Equatable {
    /// Raised when an older version could not recover from it.
    package static let currentFormatVersion = 1

    package struct File: Sendable, Codable, Equatable {
        /// `points` or `index`.
        package var name: String
        package var bytes: UInt64
        /// XXH3 (64 bits), hexadecimal.
        package var xxh3: String

        package init(name: String, bytes: UInt64, checksum: UInt64) {
            self.name = name
            self.bytes = bytes
            xxh3 = String(checksum, radix: 16)
        }

        package var checksum: UInt64? { UInt64(xxh3, radix: 16) }
    }

    package struct Shard: Sendable, Codable, Equatable {
        package var number: ShardNumber
        package var virtualShards: [VirtualShardRange]
        /// The last write that its files hold. The shards of a snapshot are each of a moment of their own.
        package var sequence: SequenceNumber
        package var epoch: Epoch
        package var files: [File]

        package init(
            number: ShardNumber, virtualShards: [VirtualShardRange], position: LogPosition, files: [File]
        ) {
            self.number = number
            self.virtualShards = virtualShards
            sequence = position.sequence
            epoch = position.epoch
            self.files = files
        }

        package var position: LogPosition { LogPosition(sequence: sequence, epoch: epoch) }
    }

    package var formatVersion = currentFormatVersion
    /// The collection's name when the snapshot was taken; it may be recovered under another.
    package var collection: String
    package var config: CollectionConfig
    /// Of the whole collection, or the one that was asked for.
    package var shards: [Shard]

    package init(collection: String, config: CollectionConfig, shards: [Shard] = []) {
        self.collection = collection
        self.config = config
        self.shards = shards
    }
}

extension SnapshotManifest {
    /// Whether the shards own every virtual shard exactly once: a single shard's snapshot does not make a collection.
    package var isWhole: Bool {
        var owners = [Int](repeating: 0, count: config.virtualShards)
        for range in shards.flatMap(\.virtualShards) {
            guard range.lower <= range.upper, Int(range.upper) < owners.count else { return false }
            for slot in range.lower...range.upper { owners[Int(slot)] += 1 }
        }
        return owners.allSatisfy { $0 == 1 }
    }

    /// Counting on from these never ends.
    private static let lastEpoch = Epoch(1 << 48)
    private static let lastSequence = SequenceNumber(1 << 56)

    /// What is wrong with it; nil when it can be recovered from. It comes from a client: nothing in it is trusted.
    package var defect: String? {
        guard formatVersion == Self.currentFormatVersion else {
            return "format version \(formatVersion), and this server reads \(Self.currentFormatVersion)"
        }
        guard Limits.virtualShards.contains(config.virtualShards), Limits.vectorSpaces.contains(config.spaces.count),
            config.spaces.allSatisfy({ Limits.dimension.contains($0.dimension) }),
            Limits.physicalShards.contains(shards.count), Limits.replicationFactor.contains(config.replicationFactor),
            config.spaces.allSatisfy({ Limits.hnswM.contains($0.hnsw.m) }),
            config.spaces.allSatisfy({ Limits.efConstruct.contains($0.hnsw.efConstruct) }),
            config.spaces.allSatisfy({ $0.hnsw.exactScanRows >= 0 }),
            config.payloadIndexes.count <= Limits.payloadIndexes
        else { return "its collection is outside of this server's limits" }
        let names = config.spaces.map(\.name)
        guard names == names.sorted(), Set(names).count == names.count else {
            return "its vector spaces are not in order"
        }
        guard Set(shards.map(\.number)).count == shards.count else { return "two of its shards have one number" }
        for shard in shards {
            guard Set(shard.files.map(\.name)) == ["points", "index"], shard.files.count == 2 else {
                return "shard \(shard.number) is not made of `points` and `index`"
            }
            guard shard.epoch < Self.lastEpoch, shard.sequence < Self.lastSequence else {
                return "shard \(shard.number) ends at no write that there can be"
            }
            guard shard.files.allSatisfy({ $0.checksum != nil }) else {
                return "shard \(shard.number) has no checksums"
            }
        }
        return nil
    }
}

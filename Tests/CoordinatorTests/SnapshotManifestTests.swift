import Coordinator
import DataModel
import Foundation
import Testing

/// Manifests come from clients: whatever does not make a collection is named, and none stops the server.
@Suite struct SnapshotManifestTests {
    private let sound = SnapshotManifest(
        collection: "c",
        config: CollectionConfig(
            spaces: [VectorSpace(name: "", dimension: 4, distance: .cosine)], virtualShards: 16, physicalShards: 2),
        shards: [(0, 0, 7), (1, 8, 15)].map { number, lower, upper in
            .init(
                number: ShardNumber(number), virtualShards: [VirtualShardRange(lower: lower, upper: upper)],
                position: LogPosition(sequence: SequenceNumber(9), epoch: Epoch(3)),
                files: [
                    .init(name: "points", bytes: 4_096, checksum: .max), .init(name: "index", bytes: 0, checksum: 0),
                ])
        })

    @Test func aSoundOneIsTheSameAfterBeingWrittenAndRead() throws {
        #expect(sound.defect == nil)
        #expect(sound.isWhole)
        #expect(try JSONDecoder().decode(SnapshotManifest.self, from: JSONEncoder().encode(sound)) == sound)
    }

    @Test func whatIsMissingOrDoubleMakesNoWhole() throws {
        var manifest = sound
        manifest.shards.removeLast()
        #expect(manifest.defect == nil && !manifest.isWhole)
        manifest = sound
        manifest.shards[1].virtualShards = [VirtualShardRange(lower: 7, upper: 15)]
        #expect(!manifest.isWhole)
        manifest.shards[1].virtualShards = [VirtualShardRange(lower: 8, upper: 16)]
        #expect(!manifest.isWhole)
        let text = String(decoding: try JSONEncoder().encode(sound), as: UTF8.self)
        let turned = text.replacing("\"lower\":8,\"upper\":15", with: "\"lower\":15,\"upper\":8")
            .replacing("\"upper\":15,\"lower\":8", with: "\"upper\":8,\"lower\":15")
        #expect(turned != text)
        #expect(try !JSONDecoder().decode(SnapshotManifest.self, from: Data(turned.utf8)).isWhole)
    }

    @Test func hostileValuesAreDefects() {
        let changes: [(inout SnapshotManifest) -> Void] = [
            { $0.formatVersion = 2 },
            { $0.config.virtualShards = 0 },
            { $0.config.virtualShards = 1 << 20 },
            { $0.config.spaces = [] },
            { $0.config.spaces[0].dimension = 0 },
            { $0.config.spaces[0].hnsw.m = 1 << 30 },
            { $0.config.spaces.append($0.config.spaces[0]) },
            { $0.config.replicationFactor = 0 },
            { $0.shards = [] },
            { $0.shards[1].number = $0.shards[0].number },
            { $0.shards[0].epoch = Epoch(.max) },
            { $0.shards[0].sequence = SequenceNumber(.max) },
            { $0.shards[0].files[0].name = "../points" },
            { $0.shards[0].files[0].xxh3 = "none" },
            { $0.shards[0].files.removeLast() },
        ]
        for (number, change) in changes.enumerated() {
            var manifest = sound
            change(&manifest)
            #expect(manifest.defect != nil, "change \(number)")
        }
    }
}

import Foundation
import Node
import Testing

/// A process may die between any two steps of an installation. What `recover` then finds is laid out here by hand.
struct SnapshotInstallTests {
    /// The replica's folder, in a folder of its own.
    private final class Place {
        let root: String
        let install: SnapshotInstall

        init() throws {
            root = FileManager.default.temporaryDirectory.path + "/shoal-install-\(UUID().uuidString)"
            install = SnapshotInstall(folder: root + "/7")
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(atPath: root) }

        func put(_ content: String, in folder: String, isComplete: Bool = false) throws {
            try FileManager.default.createDirectory(atPath: folder + "/points", withIntermediateDirectories: true)
            try Data(content.utf8).write(to: URL(filePath: folder + "/points/data.mdb"))
            if isComplete { try Data().write(to: URL(filePath: folder + "/complete")) }
        }

        var content: String? {
            FileManager.default.contents(atPath: install.folder + "/points/data.mdb").map {
                String(decoding: $0, as: UTF8.self)
            }
        }

        /// The names beside the replica's folder.
        var names: [String] {
            get throws { try FileManager.default.contentsOfDirectory(atPath: root).sorted() }
        }
    }

    @Test func installedSnapshotReplacesTheReplica() throws {
        let place = try Place()
        try place.put("old", in: place.install.folder)
        try place.put("new", in: place.install.incomingFolder)
        try place.install.install()
        #expect(place.content == "new")
        #expect(try place.names == ["7"])
        #expect(!FileManager.default.fileExists(atPath: place.install.folder + "/complete"))
    }

    @Test func tornTransferIsDropped() throws {
        let place = try Place()
        try place.put("old", in: place.install.folder)
        try place.put("half", in: place.install.incomingFolder)
        try place.install.recover()
        #expect(place.content == "old")
        #expect(try place.names == ["7"])
    }

    @Test func wholeSnapshotGoesInAfterACrashBeforeTheFirstRename() throws {
        let place = try Place()
        try place.put("old", in: place.install.folder)
        try place.put("new", in: place.install.incomingFolder, isComplete: true)
        try place.install.recover()
        #expect(place.content == "new")
        #expect(try place.names == ["7"])
    }

    @Test func wholeSnapshotGoesInAfterACrashBetweenTheRenames() throws {
        let place = try Place()
        try place.put("old", in: place.install.folder + ".old")
        try place.put("new", in: place.install.incomingFolder, isComplete: true)
        try place.install.recover()
        #expect(place.content == "new")
        #expect(try place.names == ["7"])
    }

    @Test func oldReplicaIsRemovedAfterACrashBehindTheLastRename() throws {
        let place = try Place()
        try place.put("new", in: place.install.folder, isComplete: true)
        try place.put("old", in: place.install.folder + ".old")
        try place.install.recover()
        #expect(place.content == "new")
        #expect(try place.names == ["7"])
    }

    @Test func nothingToRecoverChangesNothing() throws {
        let place = try Place()
        try place.install.recover()
        #expect(try place.names.isEmpty)
        try place.put("data", in: place.install.folder)
        try place.install.recover()
        #expect(place.content == "data")
    }
}

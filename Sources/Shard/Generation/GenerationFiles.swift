internal import DataModel
internal import Foundation
internal import Glibc
internal import LMDB

/// Where a generation of a shard lies: `<shard>/generation-<number>/{points,index}`.
///
/// One that is being built has the suffix `.building`; the rename that takes the suffix off makes it the current one, so
/// that a crash leaves the former or the new generation, never a mix. Opening takes the highest number and removes the
/// rest.
struct GenerationFiles: Sendable, Equatable {
    private static let prefix = "generation-"
    private static let buildingSuffix = ".building"
    static let first = 1

    /// The shard's folder.
    let shard: String
    let number: Int
    let isBuilding: Bool

    init(shard: String, number: Int, isBuilding: Bool = false) {
        self.shard = shard
        self.number = number
        self.isBuilding = isBuilding
    }

    private init?(shard: String, name: String) {
        guard name.hasPrefix(Self.prefix) else { return nil }
        let isBuilding = name.hasSuffix(Self.buildingSuffix)
        let digits = name.dropFirst(Self.prefix.count).dropLast(isBuilding ? Self.buildingSuffix.count : 0)
        guard let number = Int(digits), number >= Self.first else { return nil }
        self.init(shard: shard, number: number, isBuilding: isBuilding)
    }

    var folder: String { "\(shard)/\(Self.prefix)\(number)\(isBuilding ? Self.buildingSuffix : "")" }
    var points: String { "\(folder)/points" }
    var index: String { "\(folder)/index" }

    /// The next generation, to be built.
    var next: Self { Self(shard: shard, number: number + 1, isBuilding: true) }
    /// The same generation when it is complete.
    var completed: Self { Self(shard: shard, number: number) }

    /// Whether this process has one of the environments open.
    var isOpen: Bool { Environment.isOpen(points) || Environment.isOpen(index) }

    func create() throws {
        for path in [points, index] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
    }

    /// Makes a generation that was built the current one, durably; one that cannot is as it was.
    ///
    /// - Precondition: what is in it is on disk.
    func complete() throws {
        precondition(isBuilding)
        try Self.rename(folder, to: completed.folder)
        do {
            try syncShardFolder()
        } catch {
            // It must not be found by the next start: writes will go to the former generation.
            try Self.rename(completed.folder, to: folder)
            throw error
        }
    }

    private static func rename(_ from: String, to: String) throws {
        guard Glibc.rename(from, to) == 0 else {
            throw ShardError.storage(reason: "rename \(from): \(String(cString: strerror(errno)))")
        }
    }

    /// Makes the names in the shard's folder durable.
    private func syncShardFolder() throws {
        let descriptor = open(shard, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ShardError.storage(reason: "open \(shard): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw ShardError.storage(reason: "sync \(shard): \(String(cString: strerror(errno)))")
        }
    }

    func remove() throws {
        if FileManager.default.fileExists(atPath: folder) { try FileManager.default.removeItem(atPath: folder) }
    }

    /// All that are in the shard's folder, complete or not.
    static func all(in shard: String) -> [Self] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: shard)) ?? []
        return names.compactMap { Self(shard: shard, name: $0) }
    }

    /// The complete one that counts, if there is any.
    static func current(in shard: String) -> Self? {
        all(in: shard).filter { !$0.isBuilding }.max { $0.number < $1.number }
    }

    /// Removes what a crash left: generations that were replaced, and those that were not complete.
    static func removeAll(but current: Self) throws {
        for files in all(in: current.shard) where files != current { try files.remove() }
    }
}

import Coordinator
import DataModel
import Foundation
import Glibc

/// Where a node keeps its snapshots.
///
/// ```
/// <root>/<collection>/<name>.snapshot            and its SHA-256 beside it: <name>.snapshot.checksum
/// <root>/<collection>/shards/<n>/<name>.snapshot of a single shard
/// <root>/<random>.partial                        being written, or received
/// ```
struct SnapshotFolder: Sendable {
    let root: String

    private static let suffix = ".snapshot"
    private static let checksumSuffix = ".checksum"
    private static let partialSuffix = ".partial"
    /// Bytes of the collection's name in a snapshot's: a file name has at most 255.
    private static let collectionBytes = 180

    func folder(of scope: SnapshotScope) -> String {
        let collection = "\(root)/\(scope.collection)"
        return scope.shard.map { "\(collection)/shards/\($0)" } ?? collection
    }

    /// A new file for what is not whole yet.
    func partial() throws(FileError) -> DigestedFile {
        try Files.createFolder(root)
        let random = UInt64.random(in: 1 ... .max)
        return try DigestedFile(creating: "\(root)/\(String(random, radix: 16))\(Self.partialSuffix)")
    }

    /// As in the dialect: the collection, a number, the time in UTC.
    static func newName(_ scope: SnapshotScope, at time: Date = .now) -> String {
        var collection = scope.collection
        while collection.utf8.count > collectionBytes { collection.removeLast() }
        let shard = scope.shard.map { "-shard-\($0)" } ?? ""
        // Integers up to 2^53 are exact in every client's JSON.
        let number = UInt64.random(in: 1..<1 << 53)
        let stamp = time.formatted(
            .verbatim(
                """
                \(year: .padded(4))-\(month: .twoDigits)-\(day: .twoDigits)-\(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased))-\
                \(minute: .twoDigits)-\(second: .twoDigits)
                """, timeZone: .gmt, calendar: Calendar(identifier: .gregorian)))
        return "\(collection)\(shard)-\(number)-\(stamp)\(suffix)"
    }

    /// Gives a finished file its name.
    func keep(
        _ file: DigestedFile, checksum: String, as name: String, of scope: SnapshotScope
    ) throws(FileError) -> SnapshotDescription? {
        let path = "\(folder(of: scope))/\(name)"
        try Files.createFolder(folder(of: scope))
        // The checksum first: a snapshot that is there is whole.
        try Files.write(Array(checksum.utf8), to: path + Self.checksumSuffix)
        try Files.rename(file.path, to: path)
        return snapshot(name, of: scope)
    }

    func exists(_ scope: SnapshotScope) -> Bool { Files.exists(folder(of: scope)) }

    func list(_ scope: SnapshotScope) -> [SnapshotDescription] {
        Files.names(in: folder(of: scope)).sorted().compactMap { snapshot($0, of: scope) }
    }

    /// Nil when there is none of that name. Names come from clients: one that leads elsewhere names none.
    func snapshot(_ name: String, of scope: SnapshotScope) -> SnapshotDescription? {
        guard name.hasSuffix(Self.suffix), !name.contains("/"), !name.contains("\0") else { return nil }
        let path = "\(folder(of: scope))/\(name)"
        var info = stat()
        guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
        let checksum = Files.read(path + Self.checksumSuffix).map { String(decoding: $0, as: UTF8.self) }
        return SnapshotDescription(
            name: name, createdAt: Double(info.st_mtim.tv_sec), bytes: UInt64(info.st_size), checksum: checksum,
            path: path)
    }

    /// False when there is none.
    func delete(_ name: String, of scope: SnapshotScope) throws(FileError) -> Bool {
        guard let found = snapshot(name, of: scope) else { return false }
        try Files.remove(found.path)
        try Files.remove(found.path + Self.checksumSuffix)
        return true
    }

    /// Removes what a crash left.
    func sweep() {
        for name in Files.names(in: root) {
            let path = "\(root)/\(name)"
            if name.hasSuffix(Self.partialSuffix), !isFolder(path) {
                try? Files.remove(path)
                continue
            }
            sweep(folder: path)
            for shard in Files.names(in: "\(path)/shards") { sweep(folder: "\(path)/shards/\(shard)") }
        }
    }

    private func sweep(folder: String) {
        for name in Files.names(in: folder) where name.hasSuffix(Self.suffix + Self.checksumSuffix) {
            let path = "\(folder)/\(name)"
            if !Files.exists(String(path.dropLast(Self.checksumSuffix.count))) { try? Files.remove(path) }
        }
    }

    private func isFolder(_ path: String) -> Bool {
        var info = stat()
        return lstat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }
}

import Coordinator
import DataModel
import Foundation
import Glibc

/// The file of a snapshot: a tar archive of each shard's two LMDB files, and last the manifest.
///
/// ```
/// shards/0/points.mdb   a hot copy of the shard's `points`, without free pages
/// shards/0/index.mdb    ... and of its `index`
/// shards/1/points.mdb   ...
/// manifest.json         SnapshotManifest
/// ```
///
/// The manifest is last since the checksums are known last; a file that was cut short has none.
struct SnapshotArchive: SnapshotContents {
    static let manifestName = "manifest.json"
    /// A manifest has some hundred bytes for each shard.
    private static let largestManifest: UInt64 = 16 << 20

    let manifest: SnapshotManifest
    private let file: OpenFile
    /// By name in the archive: where the contents begin.
    private let offsets: [String: UInt64]

    static func name(of file: String, shard: ShardNumber) -> String { "shards/\(shard)/\(file).mdb" }

    /// Opens the archive and reads its manifest.
    ///
    /// - Throws: `invalid` when it is no snapshot, or not a whole one.
    init(path: String) throws(DatabaseError) {
        do throws(FileError) {
            file = try OpenFile(path)
        } catch {
            throw .invalid(reason: "location: \(error)")
        }
        var offset: UInt64 = 0
        var offsets: [String: UInt64] = [:]
        var sizes: [String: UInt64] = [:]
        while let header = TarHeader(try file.read(TarHeader.byteCount, at: offset)) {
            offset += UInt64(TarHeader.byteCount)
            // A size of a hostile archive must not overflow.
            guard header.bytes <= file.bytes, offset <= file.bytes else { break }
            (offsets[header.name], sizes[header.name]) = (offset, header.bytes)
            offset += header.bytes + UInt64(TarHeader.padding(after: header.bytes))
        }
        guard !offsets.isEmpty else { throw .invalid(reason: "snapshot: the file is not a snapshot") }
        guard let start = offsets[Self.manifestName], let size = sizes[Self.manifestName], size <= Self.largestManifest
        else {
            throw .invalid(
                reason: "snapshot: it has no \(Self.manifestName): it was cut short, or is not one of Shoal's")
        }
        let bytes = try file.read(Int(size), at: start)
        guard let manifest = try? JSONDecoder().decode(SnapshotManifest.self, from: Data(bytes)) else {
            throw .invalid(reason: "snapshot: its \(Self.manifestName) cannot be read")
        }
        for shard in manifest.shards {
            for part in shard.files {
                let name = Self.name(of: part.name, shard: shard.number)
                guard let start = offsets[name], sizes[name] == part.bytes, start + part.bytes <= file.bytes else {
                    throw .invalid(reason: "snapshot: \(name) is missing or has another size than its manifest says")
                }
            }
        }
        (self.manifest, self.offsets) = (manifest, offsets)
    }

    func read(
        _ part: SnapshotManifest.File, of shard: ShardNumber, at offset: UInt64, count: Int
    ) async throws(DatabaseError) -> [UInt8] {
        guard let start = offsets[Self.name(of: part.name, shard: shard)] else {
            throw .invalid(reason: "snapshot: shard \(shard) has no \(part.name)")
        }
        let bytes = try file.read(count, at: start + offset)
        guard !bytes.isEmpty else { throw .invalid(reason: "snapshot: it became shorter while it was read") }
        return bytes
    }
}

/// A file that is open for reading: it can be read to its end even when it is deleted meanwhile.
private final class OpenFile: Sendable {
    let bytes: UInt64
    private let path: String
    private let descriptor: Int32

    init(_ path: String) throws(FileError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(operation: "open \(path)", code: errno) }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw FileError(operation: "stat \(path)", code: errno) }
        bytes = UInt64(info.st_size)
    }

    deinit { close(descriptor) }

    func read(_ count: Int, at offset: UInt64) throws(DatabaseError) -> [UInt8] {
        do throws(FileError) {
            return try Files.read(count, at: offset, from: descriptor, path: path)
        } catch {
            throw .internalFailure(reason: error.description)
        }
    }
}

import Coordinator
import DataModel
import Foundation

/// Writes a `SnapshotArchive`, each shard as it is read from where it lies.
struct SnapshotArchiveWriter: Sendable {
    let file: DigestedFile

    /// Writes a shard's files.
    ///
    /// - Returns: what the manifest says of them.
    /// - Throws: `corrupted` when a file is not what the replica's node sent.
    func append(_ copy: ShardCopy, deadline: Deadline) async throws(ShardError) -> [SnapshotManifest.File] {
        var written: [SnapshotManifest.File] = []
        for part in copy.copy.offer.files {
            let start = try await begin(SnapshotArchive.name(of: part.name, shard: copy.shard.number), part.bytes)
            var offset: UInt64 = 0
            while offset < part.bytes {
                guard !deadline.isPast else { throw .deadlineExceeded }
                let bytes = try await copy.read(part, at: offset)
                try await append(bytes)
                offset += UInt64(bytes.count)
            }
            try await append([UInt8](repeating: 0, count: TarHeader.padding(after: part.bytes)))
            let path = file.path
            let checksum = try await Blocking.run { () throws(ShardError) in
                try FileChecksum.xxh3(of: path, at: start, count: part.bytes)
            }
            guard checksum == copy.copy.checksums[part.name] else {
                throw .notServing(reason: "the copy's file \(part.name) arrived damaged")
            }
            written.append(.init(name: part.name, bytes: part.bytes, checksum: checksum))
        }
        return written
    }

    /// Writes the manifest and the end.
    ///
    /// - Returns: the SHA-256 of the archive.
    func finish(_ manifest: SnapshotManifest) async throws(FileError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let encoded = try? encoder.encode(manifest) else {
            preconditionFailure("a manifest of plain values did not encode")
        }
        let json = Array(encoded)
        try await file.append(TarHeader(name: SnapshotArchive.manifestName, bytes: UInt64(json.count)).encoded)
        let padding = TarHeader.padding(after: UInt64(json.count))
        // Two empty blocks end an archive.
        try await file.append(json + [UInt8](repeating: 0, count: padding + 2 * TarHeader.byteCount))
        return try await file.finish()
    }

    /// - Returns: where the contents begin.
    private func begin(_ name: String, _ bytes: UInt64) async throws(ShardError) -> UInt64 {
        try await append(TarHeader(name: name, bytes: bytes).encoded)
        return await file.bytes
    }

    private func append(_ bytes: [UInt8]) async throws(ShardError) {
        do throws(FileError) { try await file.append(bytes) } catch { throw ShardError(error) }
    }
}

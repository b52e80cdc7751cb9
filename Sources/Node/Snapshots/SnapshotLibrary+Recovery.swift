import Cluster
import Coordinator
import DataModel
import Foundation
import Glibc

extension SnapshotLibrary {
    func recover(
        _ collection: String, from location: String, options: RecoveryOptions, deadline: Deadline
    ) async throws(DatabaseError) {
        guard let url = URL(string: location), let scheme = url.scheme?.lowercased() else {
            throw .invalid(reason: "location: a `file://`, `http://` or `https://` URL is expected")
        }
        try await check(options, recovering: collection)
        switch scheme {
        case "file":
            let path = try allowedPath(url)
            if let checksum = options.checksum {
                try Self.check(
                    checksum,
                    against: try await storingAsync { () throws(FileError) in
                        try await Blocking.run { () throws(FileError) in try FileDigest.sha256(of: path) }
                    })
            }
            try await coordinator.recover(collection, from: try SnapshotArchive(path: path), deadline: deadline)
        case "http", "https":
            let file = try storing { () throws(FileError) in try folder.partial() }
            defer { file.remove() }
            try await SnapshotDownload(url: location, apiKey: options.apiKey).run(into: file, deadline: deadline)
            try await recover(collection, from: file, options: options, deadline: deadline)
        default:
            throw .invalid(reason: "location: \(scheme) is not one of file, http and https")
        }
    }

    func beginUpload() async throws(DatabaseError) -> any SnapshotUpload {
        IncomingSnapshot(file: try storing { () throws(FileError) in try folder.partial() })
    }

    func recover(
        _ collection: String, from upload: any SnapshotUpload, options: RecoveryOptions, deadline: Deadline
    ) async throws(DatabaseError) {
        guard let upload = upload as? IncomingSnapshot else { preconditionFailure("an upload of another library") }
        defer { upload.file.remove() }
        try await check(options, recovering: collection)
        try await recover(collection, from: upload.file, options: options, deadline: deadline)
    }

    private func recover(
        _ collection: String, from file: DigestedFile, options: RecoveryOptions, deadline: Deadline
    ) async throws(DatabaseError) {
        let found = try await storingAsync { () throws(FileError) in try await file.finish() }
        if let checksum = options.checksum { try Self.check(checksum, against: found) }
        try await coordinator.recover(collection, from: try SnapshotArchive(path: file.path), deadline: deadline)
    }

    // MARK: - What a client may ask for

    private static func check(_ wanted: String, against found: String) throws(DatabaseError) {
        guard wanted.lowercased() == found else {
            throw .invalid(reason: "checksum: the snapshot's SHA-256 is \(found), and not \(wanted.prefix(128))")
        }
    }

    /// A recovery puts the snapshot in the place of what is there, on all replicas; the other way round it would do
    /// nothing but look like one.
    private func check(_ options: RecoveryOptions, recovering collection: String) async throws(DatabaseError) {
        guard options.priority == .replica, try await coordinator.collectionExists(collection) else { return }
        throw .invalid(
            reason: "priority: `replica` would keep what collection \(collection) holds now; to replace it by the "
                + "snapshot, say `snapshot`")
    }

    /// The file that a `file://` location names: below this node's snapshots, or below the folder that the operator
    /// opened for this. Anybody who reaches the port may ask, so no other file of this machine is touched; and an answer
    /// does not tell which others exist.
    private func allowedPath(_ url: URL) throws(DatabaseError) -> String {
        let roots = [folder.root, importFolder].compactMap { $0 }
        let host = url.host() ?? ""
        let path = url.path(percentEncoded: false)
        if host.isEmpty || host == "localhost", let real = Self.realPath(path), Self.isFile(real),
            roots.compactMap({ Self.realPath($0) }).contains(where: { real.hasPrefix($0 + "/") })
        {
            return real
        }
        throw .invalid(
            reason: "location: \(path.prefix(256)) is not a file below \(roots.joined(separator: " or ")) of this node")
    }

    private static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static func isFile(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFREG
    }
}

/// An upload that is written to this node's disk as it comes.
struct IncomingSnapshot: SnapshotUpload {
    let file: DigestedFile

    func write(_ bytes: [UInt8]) async throws(DatabaseError) {
        try await storingAsync { () throws(FileError) in try await file.append(bytes) }
    }

    func abandon() async { file.remove() }
}

import CXXHash
package import DataModel
import Glibc
import Shard

/// Takes the files of a snapshot into `<folder>.incoming`, checks them, and leaves them ready to be installed.
///
/// An actor, since a transfer is one message after another and none may overtake.
package actor SnapshotReceiver {
    let offer: SnapshotOffer
    private let install: SnapshotInstall
    private var files: [String: (descriptor: Int32, path: String, received: UInt64)] = [:]
    /// Once set, the folder is that of another transfer, and this one touches it no more.
    private var isAbandoned = false

    /// The files that a snapshot may have; anything else in an offer could name a path outside the folder.
    private static let names: Set<String> = ["points", "index"]

    package init(_ offer: SnapshotOffer, into install: SnapshotInstall) {
        self.offer = offer
        self.install = install
    }

    deinit {
        for file in files.values { close(file.descriptor) }
    }

    /// Makes the empty files.
    ///
    /// - Throws: `invalid` when it was abandoned before; `outOfSpace` or `storage`.
    package func begin() throws(ShardError) {
        guard !isAbandoned else { throw .invalid(reason: "another snapshot transfer has begun") }
        guard Set(offer.files.map(\.name)).isSubset(of: Self.names) else {
            throw .invalid(reason: "a snapshot of unknown files")
        }
        do throws(FileError) {
            try Files.remove(install.incomingFolder)
            for file in offer.files {
                let folder = Shard.snapshotFolder(file.name, in: install.incomingFolder)
                try Files.createFolder(folder)
                let path = "\(folder)/data.mdb"
                let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
                guard descriptor >= 0 else { throw FileError(operation: "create \(path)", code: errno) }
                files[file.name] = (descriptor, path, 0)
            }
        } catch {
            throw ShardError(error)
        }
    }

    func receive(_ chunk: SnapshotChunk) throws(ShardError) {
        guard let file = files[chunk.file], let size = offer.files.first(where: { $0.name == chunk.file })?.bytes else {
            throw .invalid(reason: "the snapshot has no file \(chunk.file)")
        }
        guard chunk.offset == file.received, chunk.offset + UInt64(chunk.bytes.count) <= size else {
            throw .invalid(reason: "a chunk at \(chunk.offset) of \(chunk.file), where \(file.received) was expected")
        }
        do throws(FileError) {
            try Files.write(chunk.bytes, at: chunk.offset, in: file.descriptor, path: file.path)
        } catch {
            throw ShardError(error)
        }
        files[chunk.file]?.received += UInt64(chunk.bytes.count)
    }

    /// Makes the files durable and compares their checksums.
    ///
    /// - Throws: `corrupted` when a file is not what was sent.
    func finish(checksums: [String: UInt64]) async throws(ShardError) {
        for file in offer.files {
            guard let received = files[file.name], received.received == file.bytes else {
                throw .invalid(reason: "the snapshot's file \(file.name) is not complete")
            }
            let checksum = try await Blocking.run { () throws(ShardError) in
                guard fsync(received.descriptor) == 0 else {
                    throw ShardError(FileError(operation: "sync \(received.path)", code: errno))
                }
                return try FileChecksum.xxh3(of: received.path)
            }
            guard checksum == checksums[file.name] else {
                throw .corrupted(reason: "the snapshot's file \(file.name) arrived damaged")
            }
        }
        for file in files.values { close(file.descriptor) }
        files = [:]
    }

    /// Drops what came so far; once only, as the next transfer uses the same folder.
    package func abandon() {
        if isAbandoned { return }
        isAbandoned = true
        for file in files.values { close(file.descriptor) }
        files = [:]
        try? Files.remove(install.incomingFolder)
    }
}

enum FileChecksum {
    /// XXH3 (64 bits) of the whole file, read through a mapping. Blocks for as long as the disk takes.
    static func xxh3(of path: String) throws(ShardError) -> UInt64 {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw ShardError(FileError(operation: "open \(path)", code: errno)) }
        defer { close(file) }
        var info = stat()
        guard fstat(file, &info) == 0 else { throw ShardError(FileError(operation: "stat \(path)", code: errno)) }
        let size = Int(info.st_size)
        return try xxh3(of: file, path: path, at: 0, count: size)
    }

    /// XXH3 of a part of a file that is there as a whole.
    static func xxh3(of path: String, at offset: UInt64, count: UInt64) throws(ShardError) -> UInt64 {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw ShardError(FileError(operation: "open \(path)", code: errno)) }
        defer { close(file) }
        return try xxh3(of: file, path: path, at: Int(offset), count: Int(count))
    }

    private static func xxh3(of file: Int32, path: String, at offset: Int, count: Int) throws(ShardError) -> UInt64 {
        guard count > 0 else { return shoal_xxh3(nil, 0) }
        // A mapping begins at a page.
        let lead = offset % Int(getpagesize())
        guard let bytes = mmap(nil, lead + count, PROT_READ, MAP_PRIVATE, file, off_t(offset - lead)),
            bytes != MAP_FAILED
        else {
            throw ShardError(FileError(operation: "map \(path)", code: errno))
        }
        defer { munmap(bytes, lead + count) }
        madvise(bytes, lead + count, MADV_SEQUENTIAL)
        return shoal_xxh3(bytes + lead, count)
    }
}

extension ShardError {
    init(_ error: FileError) {
        self = error.isOutOfSpace ? .outOfSpace(reason: error.description) : .storage(reason: error.description)
    }
}

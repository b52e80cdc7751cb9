import CSHA256
import DataModel
import Glibc

/// A file that is written from its start to its end, and whose SHA-256 is known then. Removed when it is not kept.
actor DigestedFile {
    nonisolated let path: String
    private let descriptor: Int32
    private var digest = SHA256Digest()
    private(set) var bytes: UInt64 = 0
    private var isFinished = false

    /// A state to come back to when what was written after it shall not count.
    struct Mark: Sendable {
        fileprivate let digest: SHA256Digest
        fileprivate let bytes: UInt64
    }

    init(creating path: String) throws(FileError) {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(operation: "create \(path)", code: errno) }
    }

    deinit { close(descriptor) }

    func append(_ more: [UInt8]) throws(FileError) {
        precondition(!isFinished)
        try Files.write(more, at: bytes, in: descriptor, path: path)
        digest.update(more)
        bytes += UInt64(more.count)
    }

    var mark: Mark { Mark(digest: digest, bytes: bytes) }

    func rewind(to mark: Mark) throws(FileError) {
        guard ftruncate(descriptor, off_t(mark.bytes)) == 0 else {
            throw FileError(operation: "truncate \(path)", code: errno)
        }
        (digest, bytes) = (mark.digest, mark.bytes)
    }

    /// Makes the contents durable; nothing is written any more.
    ///
    /// - Returns: the SHA-256 in lower-case hexadecimal.
    func finish() async throws(FileError) -> String {
        isFinished = true
        let (descriptor, path) = (descriptor, path)
        try await Blocking.run { () throws(FileError) in
            guard fsync(descriptor) == 0 else { throw FileError(operation: "sync \(path)", code: errno) }
        }
        return digest.hexadecimal
    }

    nonisolated func remove() { try? Files.remove(path) }
}

enum FileDigest {
    private static let pieceBytes = 1 << 20

    /// SHA-256 of a whole file in lower-case hexadecimal. Blocks for as long as the disk takes.
    static func sha256(of path: String) throws(FileError) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw FileError(operation: "open \(path)", code: errno) }
        defer { close(file) }
        var digest = SHA256Digest()
        var offset: UInt64 = 0
        while true {
            let bytes = try Files.read(pieceBytes, at: offset, from: file, path: path)
            if bytes.isEmpty { return digest.hexadecimal }
            digest.update(bytes)
            offset += UInt64(bytes.count)
        }
    }
}

/// SHA-256 of what was fed so far.
private struct SHA256Digest: Sendable {
    private var state = shoal_sha256()

    init() { shoal_sha256_init(&state) }

    mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { shoal_sha256_update(&state, $0.baseAddress, $0.count) }
    }

    /// In lower case.
    var hexadecimal: String {
        var state = state
        var result = [UInt8](repeating: 0, count: 32)
        shoal_sha256_final(&state, &result)
        return result.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

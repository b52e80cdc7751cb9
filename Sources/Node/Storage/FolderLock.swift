import Glibc

/// Keeps a second process out of a data folder for as long as this one lives; the system frees the lock when it dies.
final class FolderLock: Sendable {
    private let file: Int32

    /// - Throws: `NodeError.alreadyRunning` when another process holds the folder.
    init(_ folder: DataFolder) throws(NodeError) {
        let path = "\(folder.path)/node.lock"
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .dataFolder(reason: "\(path): \(String(cString: strerror(errno)))") }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw .alreadyRunning(reason: "another process runs on the data folder \(folder.path): stop it first")
        }
    }

    deinit { close(file) }
}

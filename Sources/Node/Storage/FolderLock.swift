import Glibc
import Synchronization

/// Keeps a second process out of a data folder until it is released or this process dies.
final class FolderLock: Sendable {
    private let file: Mutex<Int32?>

    /// - Throws: `NodeError.alreadyRunning` when somebody else holds the folder.
    init(_ folder: DataFolder) throws(NodeError) {
        let path = "\(folder.path)/node.lock"
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .dataFolder(reason: "\(path): \(String(cString: strerror(errno)))") }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw .alreadyRunning(reason: "another process runs on the data folder \(folder.path): stop it first")
        }
        self.file = Mutex(file)
    }

    deinit { release() }

    func release() {
        let held = file.withLock { file in
            defer { file = nil }
            return file
        }
        if let held { close(held) }
    }
}

/// Whether a process runs on a data folder.
package enum DataFolderUse {
    package static func isInUse(_ path: String) -> Bool {
        let file = open("\(path)/node.lock", O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return flock(file, LOCK_EX | LOCK_NB) != 0
    }
}

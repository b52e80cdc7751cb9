import DataModel
import Glibc

/// One file per lease, locked by the lease's owner for as long as it lives: the kernel lets go of the lock at the
/// moment when the process dies, however it dies.
///
/// The locks belong to open file descriptions (`F_OFD_SETLK`), not to processes: so two stores in one process hold
/// different locks, and looking at a lock neither takes nor drops it.
struct LeaseLocks: Sendable {
    let folder: String

    // <fcntl.h> defines these behind a feature macro that the module map does not set; the values are the kernel's ABI.
    private static let getLock: Int32 = 36
    private static let setLock: Int32 = 37

    /// - Throws: `unavailable` when the folder cannot be made.
    init(folder: String) throws(ControlStoreError) {
        self.folder = folder
        if mkdir(folder, 0o755) != 0 && errno != EEXIST { throw .system("make \(folder)") }
    }

    private func path(_ lease: LeaseID) -> String { folder + "/" + String(lease.rawValue, radix: 16) }

    /// Makes and locks the file. Closing the descriptor that is returned gives the lock up.
    ///
    /// - Throws: `unavailable` when the file cannot be made or is locked already.
    func acquire(_ lease: LeaseID) throws(ControlStoreError) -> Int32 {
        let path = path(lease)
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .system("make \(path)") }
        var lock = Self.exclusive
        guard fcntl(descriptor, Self.setLock, &lock) == 0 else {
            let error = ControlStoreError.system("lock \(path)")
            Glibc.close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Whether some process holds the lease's lock. When that cannot be told, it does: the lease's time will tell.
    func isHeld(_ lease: LeaseID) -> Bool {
        let descriptor = open(path(lease), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return errno != ENOENT }
        defer { Glibc.close(descriptor) }
        var lock = Self.exclusive
        guard fcntl(descriptor, Self.getLock, &lock) == 0 else { return true }
        return lock.l_type != Int16(F_UNLCK)
    }

    func remove(_ lease: LeaseID) { unlink(path(lease)) }

    private static var exclusive: flock {
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        return lock
    }
}

extension ControlStoreError {
    /// The operating system's last error, with what was being done.
    static func system(_ operation: String) -> ControlStoreError {
        let code = errno
        return .unavailable(reason: "\(operation): \(String(cString: strerror(code)))")
    }
}

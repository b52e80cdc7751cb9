import Glibc

/// The incarnation of the process that had this data folder last: `<data>/incarnation`.
///
/// The folder's lock says that this process is dead, so its lease may be ended at once. That holds for this very folder
/// only, and not for a copy of it, on another machine or beside it, whose lock is another one: so the file also says to
/// which lock file it belongs, and of which start of the machine it is.
struct FormerProcess: Sendable {
    private let path: String
    private let place: String

    /// - Precondition: the folder's lock is held.
    init(_ folder: DataFolder) {
        path = "\(folder.path)/incarnation"
        var status = stat()
        let inode = stat("\(folder.path)/node.lock", &status) == 0 ? status.st_ino : 0
        let boot = Files.read("/proc/sys/kernel/random/boot_id") ?? []
        place = String(decoding: boot, as: UTF8.self).filter { !$0.isWhitespace } + " \(status.st_dev) \(inode)"
    }

    /// Nil when there is none that is surely this folder's.
    var incarnation: UInt64? {
        guard let bytes = Files.read(path) else { return nil }
        let parts = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        return parts.count == 2 && parts[0] == place ? UInt64(parts[1]) : nil
    }

    /// To be called before the incarnation is announced.
    func replace(by incarnation: UInt64) throws(FileError) {
        try Files.write(Array("\(place)\n\(incarnation)\n".utf8), to: path)
    }
}

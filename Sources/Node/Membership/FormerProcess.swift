import Glibc

/// The incarnation of the process that had this data folder last: `<data>/incarnation`.
///
/// It serves twice. The folder's lock says that this process is dead, so its lease may be ended at once. That holds for
/// this very folder only, and not for a copy of it, on another machine or beside it, whose lock is another one: so the
/// file also says to which lock file it belongs, and of which start of the machine it is.
///
/// And a folder that another incarnation has used since is a copy of an earlier time (`OutdatedFiles`): the cluster's
/// records tell which was the last. Two are noted, as a process may end between the two steps of its announcement: its
/// own, and the one that the records had before.
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
        guard let noted, noted.place == place else { return nil }
        return noted.incarnations.first
    }

    /// Whether this folder was surely not the last that the node ran on.
    ///
    /// - Parameter recorded: `NodeRecord.dataIncarnation`. One that is not known, as in a new folder or a new cluster,
    ///   proves nothing.
    func isOutdated(recorded: UInt64?) -> Bool {
        guard let recorded, let noted else { return false }
        return !noted.incarnations.contains(recorded)
    }

    /// To be called before the incarnation is announced.
    ///
    /// - Parameter recorded: what the records have until then.
    func replace(by incarnation: UInt64, recorded: UInt64?) throws(FileError) {
        let lines = [place, "\(incarnation)"] + (recorded.map { ["\($0)"] } ?? [])
        try Files.write(Array((lines.joined(separator: "\n") + "\n").utf8), to: path)
    }

    private var noted: (place: Substring, incarnations: [UInt64])? {
        guard let bytes = Files.read(path) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        let incarnations = lines.dropFirst().compactMap { UInt64($0) }
        guard let place = lines.first, !incarnations.isEmpty, incarnations.count == lines.count - 1 else { return nil }
        return (place, incarnations)
    }
}

/// Replaces a replica's folder by a received snapshot, so that after a crash at any step either the old or the new
/// replica is there, whole.
///
/// The steps: the received files are synced, the marker is written into `<folder>.incoming`, the folder is renamed to
/// `<folder>.old`, the incoming one takes its name, the old one is removed. `recover` goes on from wherever a crash
/// left it: with the marker the snapshot is whole and goes in, without it the incoming folder is a torn transfer.
package struct SnapshotInstall {
    static let incoming = ".incoming"
    static let old = ".old"
    private static let marker = "complete"

    /// The replica's folder.
    package let folder: String

    package init(folder: String) { self.folder = folder }

    package var incomingFolder: String { folder + Self.incoming }
    private var oldFolder: String { folder + Self.old }
    private var markerFile: String { "\(incomingFolder)/\(Self.marker)" }

    /// - Precondition: the shard in `folder` is closed; the files in `incomingFolder` are verified and synced.
    package func install() throws(FileError) {
        try Files.write([], to: markerFile)
        try swap()
    }

    /// To be called before a replica is opened.
    package func recover() throws(FileError) {
        if Files.exists(markerFile) {
            try swap()
        } else {
            try Files.remove(incomingFolder)
        }
        if !Files.exists(folder), Files.exists(oldFolder) { try Files.rename(oldFolder, to: folder) }
        try Files.remove(oldFolder)
        try Files.remove("\(folder)/\(Self.marker)")
    }

    private func swap() throws(FileError) {
        if Files.exists(folder) {
            try Files.remove(oldFolder)
            try Files.rename(folder, to: oldFolder)
        }
        try Files.rename(incomingFolder, to: folder)
        try Files.remove(oldFolder)
        try Files.remove("\(folder)/\(Self.marker)")
    }
}

import Foundation
import Glibc

/// A file operation that the system refused.
package struct FileError: Error, CustomStringConvertible {
    let operation: String
    let code: Int32

    /// No room is left on the disk, or in the user's quota.
    var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }
    package var description: String { "\(operation): \(String(cString: strerror(code)))" }
}

/// The few operations on files and folders that a node needs, with durability where it counts.
enum Files {
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Creates the folder and those above it; fine when it exists.
    static func createFolder(_ path: String) throws(FileError) {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw FileError(operation: "create folder \(path)", code: errno)
        }
        try createFolder(String(path[..<slash]))
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw FileError(operation: "create folder \(path)", code: errno)
        }
    }

    /// Removes the file, or the folder with all that is in it; fine when there is none.
    static func remove(_ path: String) throws(FileError) {
        guard exists(path) else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            guard exists(path) else { return }
            throw FileError(operation: "remove \(path)", code: EIO)
        }
    }

    /// The names in the folder; none when it does not exist.
    static func names(in folder: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    }

    /// Moves within one file system, and makes the move durable.
    static func rename(_ from: String, to: String) throws(FileError) {
        guard Glibc.rename(from, to) == 0 else {
            throw FileError(operation: "rename \(from) to \(to)", code: errno)
        }
        try syncFolder(above: to)
    }

    static func read(_ path: String) -> [UInt8]? {
        FileManager.default.contents(atPath: path).map { Array($0) }
    }

    /// Replaces the file's contents: after a crash it holds either the old or the new.
    static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        let temporary = path + ".new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw FileError(operation: "create \(temporary)", code: errno) }
        do throws(FileError) {
            try write(bytes, at: 0, in: file, path: temporary)
            guard fsync(file) == 0 else { throw FileError(operation: "sync \(temporary)", code: errno) }
        } catch {
            close(file)
            throw error
        }
        close(file)
        try rename(temporary, to: path)
    }

    static func write(
        _ bytes: [UInt8], at offset: UInt64, in file: Int32, path: String
    ) throws(FileError) {
        var done = 0
        while done < bytes.count {
            let written = bytes.withUnsafeBytes { buffer in
                pwrite(file, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset) + off_t(done))
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw FileError(operation: "write \(path)", code: errno)
            }
            done += written
        }
    }

    /// At most `count` bytes from `offset`; fewer at the end of the file.
    static func read(_ count: Int, at offset: UInt64, from file: Int32, path: String) throws(FileError) -> [UInt8] {
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(
                    file, buffer.baseAddress.map { $0 + filled }, count - filled, off_t(offset) + off_t(filled))
                if got < 0 {
                    if errno == EINTR { continue }
                    code = errno
                    return
                }
                if got == 0 { return }
                filled += got
            }
        }
        guard code == 0 else { throw FileError(operation: "read \(path)", code: code) }
        return bytes
    }

    /// Makes the entries of the folder that `path` lies in durable.
    static func syncFolder(above path: String) throws(FileError) {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw FileError(operation: "open \(folder)", code: errno) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw FileError(operation: "sync \(folder)", code: errno) }
    }
}

package import DataModel
import Glibc

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The data root of a cluster on this machine, and the files by which its processes find each other.
///
///     control/            the shared control store
///     node-1/ node-2/     data of the nodes, each with the process.json of the process that runs it
///     logs/node-1.log     what the nodes wrote
///     supervisor.json     what the supervisor knows
///     supervisor.lock     locked for as long as a supervisor lives
package struct ClusterFolder: Sendable {
    /// Absolute.
    package let root: String

    package init(_ path: String) {
        var path = URL(filePath: path).absoluteURL.standardized.path(percentEncoded: false)
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        root = path
    }

    package var control: String { "\(root)/control" }
    package var logs: String { "\(root)/logs" }
    package var supervisorRecord: String { "\(root)/supervisor.json" }
    package var supervisorLog: String { "\(logs)/supervisor.log" }
    package var supervisorLock: String { "\(root)/supervisor.lock" }
    package func node(_ id: NodeID) -> String { "\(root)/node-\(id)" }
    package func log(of id: NodeID) -> String { "\(logs)/node-\(id).log" }
    package func process(of id: NodeID) -> String { "\(node(id))/process.json" }
    package func processLock(of id: NodeID) -> String { "\(node(id))/process.lock" }

    /// The process that runs the node now, whoever started it.
    package func runningProcess(of id: NodeID) -> NodeProcess? {
        guard let found: NodeProcess = JSONFile.read(process(of: id)), found.process.isRunning else { return nil }
        return found
    }

    package var supervisorRecordOnDisk: SupervisorRecord? { JSONFile.read(supervisorRecord) }

    /// The supervisor that runs now, with what it wrote last.
    package var runningSupervisor: SupervisorRecord? {
        supervisorRecordOnDisk.flatMap { $0.supervisor.isRunning ? $0 : nil }
    }

    package func makeFolders() throws {
        for folder in [root, logs] {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
    }

    /// The ids of the nodes that have a folder here, ascending.
    package var nodesWithData: [NodeID] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return names.compactMap { name in
            name.hasPrefix("node-") ? UInt32(name.dropFirst(5)).map { NodeID($0) } : nil
        }.sorted()
    }
}

/// Small files that other processes read: each version is whole, or not there.
enum JSONFile {
    static func read<Value: Decodable>(_ path: String) -> Value? {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { return nil }
        return try? JSONDecoder().decode(Value.self, from: data)
    }

    static func write(_ value: some Encodable, to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(value).write(to: URL(filePath: path), options: .atomic)
    }
}

/// A lock on a file that lasts until its holder lets go or dies.
package final class FileLock: Sendable {
    private let descriptor: Int32

    /// Nil when another process holds the lock.
    /// - Throws: when the file cannot be opened.
    package init?(path: String) throws(SystemError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SystemError("open \(path)") }
        self.descriptor = descriptor
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return nil }
    }

    /// Whether some process holds the lock.
    package static func isHeld(path: String) -> Bool {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }

    deinit { close(descriptor) }
}

/// A failed system call.
package struct SystemError: Error, Sendable, CustomStringConvertible {
    package let description: String

    /// Takes the reason from `errno`, or from `code`.
    package init(_ what: String, code: Int32 = errno) {
        description = "\(what): \(String(cString: strerror(code)))"
    }
}

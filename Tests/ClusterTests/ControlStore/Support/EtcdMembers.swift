import Cluster
import Foundation
import Glibc
import Synchronization

/// A real etcd on loopback, of one or more members, in a temporary folder. It ends with its owner, or with the tests'
/// process, however that ends.
final class EtcdMembers: Sendable {
    private struct Member {
        var clientPort: UInt16
        var peerPort: UInt16
        var process: Process
        /// Closed, it ends the member.
        var leash: Pipe
    }

    private static let path = ["/usr/bin/etcd", "/usr/local/bin/etcd"].first(
        where: FileManager.default.isExecutableFile)

    /// Where CI is strict a missing etcd is a failure, elsewhere a gap.
    static var areTested: Bool { path != nil || ProcessInfo.processInfo.environment["SHOAL_STRICT"] != nil }

    /// For tests that only need some etcd.
    static let shared = Result { try EtcdMembers(1) }

    private let folder: String
    private let members: Mutex<[Member]>

    init(_ count: Int) throws {
        guard let etcd = Self.path else { throw EtcdIsMissing() }
        folder = NSTemporaryDirectory() + "etcd-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let ports = try freePorts(2 * count)
        let peers = (0..<count).map { "m\($0)=http://127.0.0.1:\(ports[2 * $0 + 1])" }.joined(separator: ",")
        var started: [Member] = []
        for number in 0..<count {
            let (client, peer) = (ports[2 * number], ports[2 * number + 1])
            let arguments = [
                etcd, "--name", "m\(number)", "--data-dir", "\(folder)/m\(number)", "--log-level", "error",
                "--listen-client-urls", "http://127.0.0.1:\(client)",
                "--advertise-client-urls", "http://127.0.0.1:\(client)",
                "--listen-peer-urls", "http://127.0.0.1:\(peer)",
                "--initial-advertise-peer-urls", "http://127.0.0.1:\(peer)", "--initial-cluster", peers,
                // Nobody tests the disk here.
                "--unsafe-no-fsync",
            ]
            let process = Process()
            process.executableURL = URL(filePath: "/bin/sh")
            // The shell ends the member, by its id, at the end of its input: when the tests' process is gone, too.
            process.arguments =
                ["-c", #""$@" >/dev/null 2>&1 </dev/null & cat >/dev/null; kill -9 $!; wait $!"#, "sh"] + arguments
            let leash = Pipe()
            process.standardInput = leash
            process.standardError = FileHandle.nullDevice
            try process.run()
            started.append(Member(clientPort: client, peerPort: peer, process: process, leash: leash))
        }
        members = Mutex(started)
    }

    deinit {
        for member in members.withLock({ $0 }) { Self.end(member) }
        try? FileManager.default.removeItem(atPath: folder)
    }

    var endpoints: [String] { members.withLock { $0.map { "http://127.0.0.1:\($0.clientPort)" } } }

    var ports: [UInt16] { members.withLock { $0.map(\.clientPort) } }

    func client(
        prefix: String = "/test/", endpoints: [String]? = nil, patience: Duration = .seconds(20)
    ) throws -> EtcdControlStore {
        var options = EtcdOptions(endpoints: endpoints ?? self.endpoints, prefix: prefix)
        options.patience = patience
        return try EtcdControlStore(options: options, logger: quiet)
    }

    func kill(_ number: Int) { Self.end(members.withLock { $0[number] }) }

    private static func end(_ member: Member) {
        try? member.leash.fileHandleForWriting.close()
        member.process.waitUntilExit()
    }

    /// Removes all history before the revision.
    func compact(at revision: UInt64) throws {
        let curl = Process()
        curl.executableURL = URL(filePath: "/usr/bin/curl")
        curl.arguments = [
            "-sSf", "-o", "/dev/null", "-X", "POST", endpoints[0] + "/v3/kv/compaction", "-d",
            #"{"revision":"\#(revision)","physical":true}"#,
        ]
        try curl.run()
        curl.waitUntilExit()
        guard curl.terminationStatus == 0 else { throw EtcdDidNotCompact() }
    }
}

struct EtcdIsMissing: Error, CustomStringConvertible {
    let description = "there is no etcd on this machine: Scripts/install-dependencies --tests installs it"
}

struct EtcdDidNotCompact: Error {}

/// Ports of loopback that nobody listens on now.
private func freePorts(_ count: Int) throws -> [UInt16] {
    let sockets = try (0..<count).map { _ in try LoopbackSocket.listening() }
    defer { for socket in sockets { close(socket.descriptor) } }
    return sockets.map(\.port)
}

enum LoopbackSocket {
    struct Failure: Error { var code: Int32 }

    /// A listening socket on a port that the system chose.
    static func listening() throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = loopback(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && listen(descriptor, 128) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard code else { throw Failure(code: errno) }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    static func connected(to port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = loopback(port: port)
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if isConnected { return descriptor }
        close(descriptor)
        return nil
    }

    private static func loopback(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_port = port.bigEndian
        return address
    }
}

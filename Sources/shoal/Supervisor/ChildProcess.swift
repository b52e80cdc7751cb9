import Glibc

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Starts processes in sessions of their own, and learns how they ended.
enum ChildProcess {
    // <spawn.h> guards it by _GNU_SOURCE, which the importer does not always set.
    private static let setSession: Int16 = 0x80

    /// Starts `arguments[0]` without a terminal: input from nowhere, output and errors appended to `log`.
    ///
    /// In a session of its own it does not get the terminal's Ctrl-C: whoever started it decides when it stops.
    static func start(_ arguments: [String], log: String) throws(SystemError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A parent that handles signals ignores them in the first place, which a child would inherit.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF) | setSession)

        closeDescriptorsOnExec()
        // Swift's backtracer outlives a crashed process by many seconds and keeps its sockets open meanwhile: nobody could
        // take its ports over. A crash is to be quick; who wants the backtrace sets the variable.
        setenv("SWIFT_BACKTRACE", "enable=no", 0)
        var pid: pid_t = 0
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        pointers.append(nil)
        let code = posix_spawn(&pid, arguments[0], &actions, &attributes, pointers, environ)
        guard code == 0 else { throw SystemError("start \(arguments[0])", code: code) }
        return pid
    }

    /// A child must not keep open what its parent, or its parent's parent, opened: a pipe that somebody reads to its end.
    private static func closeDescriptorsOnExec() {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") else { return }
        for descriptor in names.compactMap({ Int32($0) }) where descriptor > STDERR_FILENO {
            let flags = fcntl(descriptor, F_GETFD)
            if flags >= 0 { _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
        }
    }

    /// How the child ended; nil while it runs. Takes it off the kernel's list, so that one call only says so.
    static func exit(of pid: pid_t) -> NodeSupervision.Exit? {
        var status: Int32 = 0
        let result = waitpid(pid, &status, WNOHANG)
        if result == 0 || result < 0 && errno == EINTR { return nil }
        guard result == pid else { return .unknown }
        let signal = status & 0x7f
        return signal == 0 ? .code((status >> 8) & 0xff) : .signal(signal)
    }

    /// The file that this process runs from.
    static func ownExecutable() throws(SystemError) -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let length = buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                characters.baseAddress.map { readlink("/proc/self/exe", $0, characters.count) } ?? -1
            }
        }
        guard length > 0 else { throw SystemError("readlink /proc/self/exe") }
        let path = String(decoding: buffer[..<length], as: UTF8.self)
        // A build replaced the file while it ran: the new one has the old name.
        return path.hasSuffix(" (deleted)") ? String(path.dropLast(10)) : path
    }
}

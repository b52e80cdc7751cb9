#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Reads Linux' files about processes.
enum ProcFile {
    static func text(_ path: String) -> String? {
        (try? Data(contentsOf: URL(filePath: path))).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The fields of `/proc/<pid>/stat` that Shoal looks at (proc_pid_stat(5)).
    struct Stat {
        let state: Character
        /// User and system time, in clock ticks.
        let cpuTicks: UInt64
        /// Clock ticks from the machine's start to the process'.
        let startTicks: UInt64

        /// Nil when there is no such process.
        init?(pid: Int32) {
            // The second field is the command in parentheses and may hold spaces and parentheses itself.
            guard let text = ProcFile.text("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
            let fields = text[text.index(after: end)...].split(separator: " ")
            guard fields.count > 19, let state = fields[0].first, let user = UInt64(fields[11]),
                let system = UInt64(fields[12]), let start = UInt64(fields[19])
            else { return nil }
            self.state = state
            cpuTicks = user + system
            startTicks = start
        }
    }
}

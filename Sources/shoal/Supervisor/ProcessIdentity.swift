import Glibc

/// A process, told apart from a later one that the kernel gave the same number.
package struct ProcessIdentity: Sendable, Codable, Equatable {
    package var pid: Int32
    /// Clock ticks from the machine's start to the process'.
    package var startTicks: UInt64
    /// Different after each start of the machine, when pids and ticks begin anew.
    package var bootID: String

    /// The process that has this pid now; nil when there is none, or it has exited already.
    package init?(of pid: Int32) {
        guard let stat = ProcFile.Stat(pid: pid), !Self.hasExited(stat), let bootID = Self.currentBootID else {
            return nil
        }
        self.pid = pid
        startTicks = stat.startTicks
        self.bootID = bootID
    }

    package init(pid: Int32, startTicks: UInt64, bootID: String) {
        self.pid = pid
        self.startTicks = startTicks
        self.bootID = bootID
    }

    package var isRunning: Bool { ProcessIdentity(of: pid) == self }

    /// Sends the signal when the process still is the one that was meant.
    package func signal(_ number: Int32) {
        guard isRunning else { return }
        kill(pid, number)
    }

    private static let currentBootID = ProcFile.text("/proc/sys/kernel/random/boot_id")?.split(separator: "\n").first
        .map { String($0) }

    /// A zombie waits for its parent and does nothing any more.
    private static func hasExited(_ stat: ProcFile.Stat) -> Bool { stat.state == "Z" || stat.state == "X" }
}

import Glibc

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// One value of the process, under the name that Prometheus' own clients use.
package struct ProcessMetric: Sendable {
    package enum Kind: String, Sendable { case counter, gauge }

    package var name: String
    package var kind: Kind
    package var help: String
    package var labels: [String: String] = [:]
    package var value: Double
}

/// Reads the process' own figures from `/proc`; what cannot be read is left out.
package enum ProcessMetrics {
    package static func read(version: String) -> [ProcessMetric] {
        var metrics: [ProcessMetric] = []
        func add(_ name: String, _ kind: ProcessMetric.Kind, _ help: String, _ value: Double?) {
            guard let value else { return }
            metrics.append(ProcessMetric(name: name, kind: kind, help: help, value: value))
        }
        let memory = memoryBytes()
        let times = times()
        add("process_cpu_seconds_total", .counter, "User and system CPU time spent.", times?.cpuSeconds)
        add("process_max_fds", .gauge, "Largest number of open file descriptors.", descriptorLimit())
        add("process_open_fds", .gauge, "Number of open file descriptors.", openDescriptors())
        add("process_resident_memory_bytes", .gauge, "Resident memory, mapped files included.", memory?.resident)
        add("process_start_time_seconds", .gauge, "Start of the process since the Unix epoch.", times?.startedAt)
        add("process_virtual_memory_bytes", .gauge, "Address space, mapped files included.", memory?.virtual)
        metrics.append(
            ProcessMetric(
                name: "shoal_build_info", kind: .gauge, help: "1, with the version as a label.",
                labels: ["version": version], value: 1))
        return metrics
    }

    private static func memoryBytes() -> (virtual: Double, resident: Double)? {
        guard let fields = ProcFile.text("/proc/self/statm")?.split(separator: " "), fields.count > 1,
            let virtual = Double(fields[0]), let resident = Double(fields[1])
        else { return nil }
        let page = Double(sysconf(Int32(_SC_PAGESIZE)))
        return (virtual * page, resident * page)
    }

    private static func times() -> (cpuSeconds: Double, startedAt: Double)? {
        guard let stat = ProcFile.Stat(pid: getpid()) else { return nil }
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        let boot = ProcFile.text("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
        guard let bootTime = boot.flatMap({ Double($0.dropFirst(6)) }) else { return nil }
        return (Double(stat.cpuTicks) / ticks, bootTime + Double(stat.startTicks) / ticks)
    }

    private static func openDescriptors() -> Double? {
        // The descriptor that reads the folder is among them.
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")).map { Double($0.count - 1) }
    }

    private static func descriptorLimit() -> Double? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return Double(limit.rlim_cur)
    }
}

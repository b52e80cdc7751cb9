import Foundation
import Synchronization

/// Runs many histories on all cores.
struct Histories: Sendable {
    struct Violation: Sendable {
        let seed: UInt64
        let reason: String
    }

    struct Report: Sendable {
        var count = 0
        var figures = Judge.Figures()
        /// In order of seeds.
        var violations: [Violation] = []
    }

    var seeds: Range<UInt64>
    /// Seeds whose worlds cannot show it are passed over.
    var fault: PlantedFault?
    /// Nothing more is begun after so many histories.
    var maximumCount = Int.max
    /// Nothing more is begun after so many violations.
    var maximumViolations: Int

    private final class Progress: Sendable {
        let state: Mutex<(next: UInt64, report: Report)>

        init(first: UInt64) { state = Mutex((first, Report())) }
    }

    func run() async -> Report {
        let progress = Progress(first: seeds.lowerBound)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<max(ProcessInfo.processInfo.activeProcessorCount, 1) {
                group.addTask {
                    while let seed = next(progress) {
                        runOne(seed, progress)
                        // Tests that look at the clock may run beside this one.
                        await Task.yield()
                    }
                }
            }
        }
        var report = progress.state.withLock { $0.report }
        report.violations.sort { $0.seed < $1.seed }
        return report
    }

    private func runOne(_ seed: UInt64, _ progress: Progress) {
        let simulation = Simulation(seed: seed, fault: fault)
        guard fault?.mayShow(in: simulation.profile) ?? true else { return }
        let reason = simulation.run()
        let figures = simulation.judge.figures
        progress.state.withLock { state in
            state.report.count += 1
            state.report.figures += figures
            if let reason { state.report.violations.append(Violation(seed: seed, reason: reason)) }
        }
    }

    private func next(_ progress: Progress) -> UInt64? {
        progress.state.withLock { state in
            guard state.next < seeds.upperBound, state.report.count < maximumCount,
                state.report.violations.count < maximumViolations
            else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }
}

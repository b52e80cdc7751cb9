import Foundation
import Testing

/// `SHOAL_SIMULATION_SEEDS=100000` runs so many histories in place of a thousand, `SHOAL_SIMULATION_FIRST=n` begins with
/// another seed, and `SHOAL_SIMULATION_SEED=n` replays one history, with all that happens in it;
/// `SHOAL_SIMULATION_FAULT=name` plants a fault there.
@Suite(.serialized) struct SimulationTests {
    static func setting(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment["SHOAL_SIMULATION_\(name)"].flatMap { UInt64($0) }
    }

    static var replayed: UInt64? { setting("SEED") }
    /// Of the trace of a history that failed: what led to it.
    private static let shownLines = 60

    @Test(.enabled(if: SimulationTests.replayed == nil)) func historiesFullOfFailuresKeepEveryPromise() async {
        let first = Self.setting("FIRST") ?? 0
        let count = Self.setting("SEEDS") ?? 1_000
        let start = ContinuousClock.now
        let report = await Histories(seeds: first..<first + count, maximumViolations: 5).run()
        print("\(report.count) histories in \(ContinuousClock.now - start): \(report.figures)")
        for violation in report.violations {
            Issue.record("seed \(violation.seed): \(violation.reason)\n\(Self.story(of: violation.seed))")
        }
        // They were histories, and of everything that they are there for.
        let figures = report.figures
        let histories = Int(count)
        #expect(figures.acknowledgedWrites > 50 * histories && figures.reads > 50 * histories, "\(figures)")
        #expect(figures.primaries > histories / 2 && figures.demotions > histories, "\(figures)")
        #expect(figures.snapshots > histories / 4 && figures.moves > histories / 8, "\(figures)")
        #expect(figures.reshardings > histories / 8 && figures.plans > histories / 32, "\(figures)")
    }

    @Test(.enabled(if: SimulationTests.replayed == nil), arguments: PlantedFault.allCases)
    func everyPlantedFaultIsFoundWithinAThousandHistories(fault: PlantedFault) async {
        let report = await Histories(
            seeds: 0..<20_000, fault: fault, maximumCount: 1_000, maximumViolations: 1
        ).run()
        #expect(!report.violations.isEmpty, "\(fault) was not found in \(report.count) histories")
        if let found = report.violations.first { print("\(fault): seed \(found.seed), \(found.reason)") }
    }

    @Test func aSeedIsAHistory() {
        let traces = (0..<2).map { _ in
            let simulation = Simulation(seed: 7, isTraced: true)
            _ = simulation.run()
            return simulation.lines ?? []
        }
        #expect(traces[0] == traces[1])
        #expect(traces[0].count > 50)
    }

    @Test(.enabled(if: SimulationTests.replayed != nil)) func replay() {
        guard let seed = Self.replayed else { return }
        let name = ProcessInfo.processInfo.environment["SHOAL_SIMULATION_FAULT"]
        let simulation = Simulation(seed: seed, fault: name.flatMap { PlantedFault(rawValue: $0) }, isTraced: true)
        let violation = simulation.run()
        for line in simulation.lines ?? [] { print(line) }
        #expect(violation == nil, "seed \(seed)")
    }

    private static func story(of seed: UInt64) -> String {
        let simulation = Simulation(seed: seed, isTraced: true)
        _ = simulation.run()
        let lines = simulation.lines ?? []
        let end = lines.firstIndex { $0.contains("VIOLATION") }.map { $0 + 1 } ?? lines.count
        return lines[..<end].suffix(shownLines).joined(separator: "\n")
            + "\nReplay it: SHOAL_SIMULATION_SEED=\(seed) Scripts/simulate"
    }
}

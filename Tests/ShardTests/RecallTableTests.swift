import Shard
import Testing

@Suite struct RecallTableTests {
    /// A table whose samples all have `recall(depth, ef)`.
    private func table(samples: Int, recall: (Int, Int) -> Double) -> RecallTable {
        var table = RecallTable()
        for _ in 0..<samples {
            table.note(RecallTable.depths.map { depth in RecallTable.efs.map { recall(depth, $0) } })
        }
        return table
    }

    @Test func withFewSamplesNoRecallIsPromised() {
        let effort = table(samples: RecallTable.fewestSamples - 1) { _, _ in 1 }.effort(for: 0.95, limit: 10)
        #expect(effort.expectedRecall == nil)
        #expect(effort.sampledQueries == RecallTable.fewestSamples - 1)
        #expect(effort.ef >= 128, "the effort is on the safe side")
    }

    @Test func theSmallestEffortThatReachesTheTargetIsChosen() {
        // Half of what is missing at an effort is missing at twice the effort.
        let table = table(samples: 20) { _, ef in 1 - 4 / Double(ef) }
        for target in stride(from: 0.76, to: 0.995, by: 0.01) {
            let effort = table.effort(for: target, limit: 10)
            let ideal = 4 / (1 - target)
            #expect(Double(effort.ef) >= ideal * 0.99 && Double(effort.ef) <= ideal * 1.2, "\(target): \(effort)")
            #expect((effort.expectedRecall ?? 0) >= target - 1e-9)
        }
        #expect(table.effort(for: 0.5, limit: 10).ef == RecallTable.efs[0])
    }

    @Test func whatIsOutOfReachGetsTheGreatestEffortAndAnHonestExpectation() {
        let effort = table(samples: 20) { _, ef in min(0.9, Double(ef) / 100) }.effort(for: 0.99, limit: 10)
        #expect(effort.ef == RecallTable.efs.last)
        #expect(abs((effort.expectedRecall ?? 0) - 0.9) < 1e-9)
    }

    @Test func moreResultsTakeTheRecallOfTheirDepth() {
        let table = table(samples: 20) { depth, ef in ef >= (depth == 10 ? 32 : 256) ? 1 : 0 }
        #expect(table.effort(for: 0.9, limit: 10).ef <= 32)
        #expect((193...256).contains(table.effort(for: 0.9, limit: 11).ef))
        let effort = table.effort(for: 0.9, limit: 1_000).ef
        #expect(effort > 1_930, "beyond the measured depths effort grows with the limit: \(effort)")
    }

    @Test func anUncertainMeanDoesNotCount() {
        var table = RecallTable()
        for sample in 0..<RecallTable.fewestSamples {
            let low = sample % 2 == 0 ? 0.82 : 1.0
            table.note(RecallTable.depths.map { _ in RecallTable.efs.map { $0 >= 128 ? 1 : low } })
        }
        #expect(table.effort(for: 0.9, limit: 10).ef > RecallTable.efs[0], "0.91 of eight such samples is not sure")
    }

    @Test func oldSamplesAreForgotten() {
        var table = table(samples: RecallTable.window) { _, _ in 0 }
        for _ in 0..<RecallTable.window { table.note(RecallTable.depths.map { _ in RecallTable.efs.map { _ in 1 } }) }
        #expect(table.sampledQueries == RecallTable.window)
        #expect(table.effort(for: 0.99, limit: 10).ef == RecallTable.efs[0])
    }
}

import Coordinator
import Testing

struct LatencyQuantileTests {
    @Test func theQuantileIsAtMostAFifthTooMuch() throws {
        var estimate = LatencyQuantile()
        for millisecond in (1...100).shuffled() { estimate.add(seconds: Double(millisecond) / 1_000) }
        for share: Float in [0.5, 0.9, 0.95, 0.99] {
            let seconds = try #require(estimate.quantile(share))
            #expect((Double(share) * 0.1...Double(share) * 0.1 * 1.2 + 1e-9).contains(seconds), "\(share): \(seconds)")
        }
    }

    @Test func aFewSamplesSayNothing() {
        var estimate = LatencyQuantile()
        for _ in 0..<19 { estimate.add(seconds: 0.001) }
        #expect(estimate.quantile(0.95) == nil)
        estimate.add(seconds: 0.001)
        #expect(estimate.quantile(0.95) != nil)
    }

    @Test func whatIsOldIsForgotten() throws {
        var estimate = LatencyQuantile()
        for _ in 0..<10_000 { estimate.add(seconds: 0.001) }
        for _ in 0..<3_000 { estimate.add(seconds: 0.1) }
        #expect(try #require(estimate.quantile(0.25)) >= 0.1)
        for _ in 0..<3_000 { estimate.add(seconds: 0.001) }
        #expect(try #require(estimate.quantile(0.75)) < 0.002)
    }

    @Test(arguments: [0, 1e-9, 86_400.0 * 365])
    func extremesAreCounted(seconds: Double) throws {
        var estimate = LatencyQuantile()
        for _ in 0..<100 { estimate.add(seconds: seconds) }
        #expect(try #require(estimate.quantile(0.5)) > 0)
    }
}

struct HedgeBudgetTests {
    @Test(arguments: [0, 0.05, 0.1, 1])
    func hedgesAreAShareOfTheReads(share: Double) {
        var budget = HedgeBudget(share: share)
        var sent = 0
        for _ in 0..<10_000 {
            budget.earn()
            if budget.spend() { sent += 1 }
        }
        let savings = share > 0 ? HedgeBudget.savings : 0
        #expect(Double(sent) <= 10_000 * share + savings)
        #expect(Double(sent) >= 10_000 * share - 2)
    }

    @Test func quietTimesSaveUpALimitedNumber() {
        var budget = HedgeBudget(share: 0.1)
        for _ in 0..<100_000 { budget.earn() }
        var sent = 0
        while budget.spend() { sent += 1 }
        #expect(sent == Int(HedgeBudget.savings))
    }
}

import Testing
import shoal

@Suite struct RestartTests {
    @Test func theDelayDoublesUpToItsLimit() {
        var policy = RestartPolicy()
        let delays = (0..<9).map { _ in policy.delay(afterUptime: .zero) }
        #expect(delays[0] == .milliseconds(100))
        #expect(zip(delays, delays.dropFirst()).allSatisfy { $1 == min($0 * 2, .seconds(10)) })
        #expect(delays.last == .seconds(10))
    }

    @Test func aLongRunMakesTheNextFailureAFirstOne() {
        var policy = RestartPolicy()
        for _ in 0..<6 { _ = policy.delay(afterUptime: .seconds(1)) }
        #expect(policy.delay(afterUptime: .seconds(30)) == .milliseconds(100))
        #expect(policy.delay(afterUptime: .seconds(29)) == .milliseconds(200))
    }

    @Test func aCrashedNodeIsStartedWhenItsDelayIsOver() {
        let start = ContinuousClock.now
        var node = NodeSupervision(restarts: true, now: start)
        #expect(node.tick(now: start + .seconds(1)) == nil)
        node.exited(.signal(9), now: start + .seconds(1))
        #expect(node.phase == .waiting(until: start + .milliseconds(1_100)))
        #expect(node.detail.contains("signal 9"))
        #expect(node.tick(now: start + .milliseconds(1_099)) == nil)
        #expect(node.tick(now: start + .milliseconds(1_100)) == .start)
        #expect(node.tick(now: start + .milliseconds(1_200)) == nil)
        #expect(node.restartCount == 1)
    }

    @Test func withoutRestartsACrashedNodeStaysDown() {
        let start = ContinuousClock.now
        var node = NodeSupervision(restarts: false, now: start)
        node.exited(.signal(9), now: start)
        #expect(node.phase == .down)
        #expect(node.tick(now: start + .seconds(100)) == nil)
    }

    @Test func aNodeThatRefusesItsSettingsAtItsFirstStartStaysDown() {
        let start = ContinuousClock.now
        var node = NodeSupervision(restarts: true, now: start)
        node.exited(.code(2), now: start)
        #expect(node.phase == .down)
    }

    @Test func aNodeThatRanOnceIsTriedAgainWhateverItSays() {
        let start = ContinuousClock.now
        var node = NodeSupervision(restarts: true, now: start)
        node.exited(.signal(11), now: start + .seconds(1))
        #expect(node.tick(now: start + .seconds(2)) == .start)
        node.exited(.code(2), now: start + .seconds(3))
        #expect(node.tick(now: start + .seconds(4)) == .start)
        #expect(node.restartCount == 2)
    }

    @Test func aStartThatFailsIsTriedAgainLater() {
        let start = ContinuousClock.now
        var node = NodeSupervision(restarts: true, now: start)
        node.failedToStart("no memory", now: start)
        #expect(node.detail == "no memory")
        #expect(node.tick(now: start + .milliseconds(100)) == .start)
    }
}

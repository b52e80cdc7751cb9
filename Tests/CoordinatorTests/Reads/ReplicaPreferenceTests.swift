import Coordinator
import DataModel
import Testing

struct ReplicaPreferenceTests {
    private let kind = ReadKind(.search)
    private let nodes = [NodeID(1), NodeID(2), NodeID(3)]
    private let start = ContinuousClock.now

    /// Node 2 is the local one; each node took so many milliseconds, many times.
    private func preference(milliseconds: [NodeID: Int]) -> ReplicaPreference {
        let preference = ReplicaPreference(localNode: NodeID(2))
        for (node, time) in milliseconds {
            for _ in 0..<200 { preference.answered(node, kind, in: .milliseconds(time), now: start) }
        }
        return preference
    }

    private func first(_ preference: ReplicaPreference, after time: Duration = .zero) -> NodeID? {
        preference.ordered(nodes, for: kind, now: start + time).first
    }

    @Test func thisNodeIsPreferredWhenItIsNotMuchWorse() {
        #expect(first(ReplicaPreference(localNode: NodeID(2))) == NodeID(2))
        #expect(first(preference(milliseconds: [NodeID(1): 10, NodeID(2): 15, NodeID(3): 12])) == NodeID(2))
        #expect(first(preference(milliseconds: [NodeID(1): 10, NodeID(2): 25, NodeID(3): 12])) == NodeID(1))
    }

    @Test func aBusyReplicaIsPassedOver() {
        let preference = preference(milliseconds: [NodeID(1): 10, NodeID(2): 10, NodeID(3): 10])
        preference.began(NodeID(2))
        preference.began(NodeID(2))
        preference.began(NodeID(1))
        #expect(first(preference) == NodeID(3))
        preference.ended(NodeID(2))
        preference.ended(NodeID(2))
        #expect(first(preference) == NodeID(2))
    }

    @Test func aReplicaThatFailedIsAskedLastForAMoment() {
        let preference = preference(milliseconds: [NodeID(1): 10, NodeID(2): 10, NodeID(3): 30])
        preference.avoid(NodeID(2), now: start)
        #expect(preference.ordered(nodes, for: kind, now: start) == [NodeID(1), NodeID(3), NodeID(2)])
        #expect(first(preference, after: ReplicaPreference.avoidance) == NodeID(2))
    }

    @Test func aReplicaThatLosesToHedgesIsAskedLastForLongerAndLonger() {
        let preference = preference(milliseconds: [NodeID(1): 10, NodeID(2): 10, NodeID(3): 10])
        preference.lost(NodeID(2), now: start)
        #expect(first(preference) == NodeID(2), "once is chance")
        for _ in 0..<20 { preference.lost(NodeID(2), now: start) }
        #expect(first(preference, after: ReplicaPreference.longestAvoidance - .milliseconds(1)) != NodeID(2))
        #expect(first(preference, after: ReplicaPreference.longestAvoidance) == NodeID(2))
        preference.answered(NodeID(2), kind, in: .milliseconds(10), now: start)
        preference.lost(NodeID(2), now: start + .seconds(3))
        #expect(first(preference, after: .seconds(3)) == NodeID(2), "an answer ends the row")
    }

    @Test func aSlowReplicaGetsAnotherChance() {
        let preference = preference(milliseconds: [NodeID(1): 400, NodeID(2): 10])
        let pair = [NodeID(1), NodeID(2)]
        let later = start + .seconds(3_600)
        for _ in 0..<10 { preference.answered(NodeID(2), kind, in: .milliseconds(10), now: later) }
        #expect(preference.ordered(pair, for: kind, now: start)[0] == NodeID(2))
        #expect(preference.ordered(pair, for: kind, now: later)[0] == NodeID(1))
    }

    @Test func whoIsGivenUpCountsAsSlow() {
        let preference = preference(milliseconds: [NodeID(1): 10, NodeID(2): 10])
        preference.gaveUp(NodeID(2), kind, after: .milliseconds(500), now: start)
        #expect(preference.ordered([NodeID(1), NodeID(2)], for: kind, now: start)[0] == NodeID(1))
        // A wait that was cut short says nothing.
        preference.gaveUp(NodeID(1), kind, after: .milliseconds(1), now: start)
        #expect(preference.ordered([NodeID(1), NodeID(2)], for: kind, now: start)[0] == NodeID(1))
    }

    @Test func theHedgeDelayIsLearnedForEachNodeAndKind() {
        let preference = preference(milliseconds: [NodeID(1): 100, NodeID(2): 20])
        #expect((.milliseconds(100)...(.milliseconds(120))).contains(preference.hedgeDelay(NodeID(1), kind)))
        #expect((.milliseconds(20)...(.milliseconds(24))).contains(preference.hedgeDelay(NodeID(2), kind)))
        #expect(preference.hedgeDelay(NodeID(2), ReadKind(.count)) == ReplicaPreference.firstHedgeDelay)
        #expect(
            preference.hedgeDelay(NodeID(2), ReadKind(.search, units: 1_000)) == ReplicaPreference.longestHedgeDelay)
    }

    @Test func theHedgeDelayHasBounds() {
        let quick = preference(milliseconds: [NodeID(1): 0])
        #expect(quick.hedgeDelay(NodeID(1), kind) == ReplicaPreference.shortestHedgeDelay)
        let slow = preference(milliseconds: [NodeID(1): 60_000])
        #expect(slow.hedgeDelay(NodeID(1), kind) == ReplicaPreference.longestHedgeDelay)
    }
}

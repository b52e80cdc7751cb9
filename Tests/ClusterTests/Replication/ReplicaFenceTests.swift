import Cluster
import DataModel
import Testing

@Suite struct ReplicaFenceTests {
    /// A write of a former primary was under way when the next one asked what the replica has. It came on top of the
    /// answer, and replicas that nobody wrote to stayed different.
    @Test func aReplicaSaysWhatItHasWhenOlderChangesHaveEnded() {
        var fence = ReplicaFence()
        #expect(fence.begin(in: Epoch(3)) == nil)
        #expect(fence.begin(in: Epoch(3)) == nil)
        #expect(fence.raise(to: Epoch(4)) == .wait)
        fence.end(in: Epoch(3))
        #expect(fence.raise(to: Epoch(4)) == .wait)
        fence.end(in: Epoch(3))
        #expect(fence.raise(to: Epoch(4)) == .open)
        #expect(fence.begin(in: Epoch(3)) == .staleEpoch(current: Epoch(4)))
        #expect(fence.raise(to: Epoch(3)) == .refuse(.staleEpoch(current: Epoch(4))))
    }

    @Test func changesOfTheSameEpochAreNotWaitedFor() {
        var fence = ReplicaFence()
        #expect(fence.begin(in: Epoch(3)) == nil)
        #expect(fence.raise(to: Epoch(3)) == .open)
    }

    @Test func nothingElseHappensWhileASnapshotComesInAndNoneOfAnOlderEpochDoes() {
        var fence = ReplicaFence()
        #expect(fence.beginReplacement(in: Epoch(3)) == nil)
        guard case .notServing = fence.begin(in: Epoch(4)), case .refuse(.notServing) = fence.raise(to: Epoch(4)) else {
            Issue.record("a change, or an answer, during a replacement")
            return
        }
        fence.endReplacement()
        #expect(fence.raise(to: Epoch(4)) == .open)
        #expect(fence.beginReplacement(in: Epoch(3)) == .staleEpoch(current: Epoch(4)))
    }
}

import Cluster
import DataModel
import Testing

@Suite struct BalanceWatchTests {
    @Test func onlyAClusterThatStaysUnevenIsRebalanced() {
        var watch = BalanceWatch(patience: .seconds(120))
        // Even for a moment, or not quiet, and the time begins anew; so it does after a rebalance that did not help.
        let looks: [(seconds: Int, isUneven: Bool, isDue: Bool)] = [
            (0, true, false), (119, true, false), (120, false, false), (130, true, false), (249, true, false),
            (250, true, true), (251, true, false), (370, true, false), (371, true, true),
        ]
        for look in looks {
            let isDue = watch.isDue(isUneven: look.isUneven, now: .seconds(look.seconds))
            #expect(isDue == look.isDue, "after \(look.seconds) s")
        }
    }

    @Test func aClusterWithWorkUnderWayIsNotQuiet() throws {
        var world = World()
        for node in 1...3 { world.join(NodeID(UInt32(node))) }
        let id = try world.create("a", shards: 3)
        #expect(BalanceWatch.isQuiet(world.state))
        world.begin("d", .drain(node: NodeID(3)))
        #expect(!BalanceWatch.isQuiet(world.state))
        world.runToEnd()
        #expect(BalanceWatch.isQuiet(world.state))
        let shard = try #require(world.shard(id, 0))
        let backup = try #require(shard.inSync.first { $0 != shard.primary })
        world.change(shard.id) { $0 = (try? $0.demoting(backup, by: $0.primary)) ?? $0 }
        #expect(!BalanceWatch.isQuiet(world.state))
    }
}

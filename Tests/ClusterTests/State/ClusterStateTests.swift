import Cluster
import DataModel
import Testing

@Suite struct ClusterStateTests {
    @Test func routingFindsTheOwnerOfEveryVirtualShard() throws {
        var world = World()
        for node in 1...3 { world.join(NodeID(UInt32(node))) }
        let id = try world.create("c", shards: 5)
        let routing = try #require(world.state.routing(of: "c"))
        #expect(routing.shards.count == 5)
        for slot in 0..<UInt16(128) {
            let index = try #require(routing.shardIndex(of: VirtualShard(slot)))
            #expect(routing.shards[index].value.virtualShards.contains { $0.contains(VirtualShard(slot)) })
        }
        #expect(routing.shardIndex(of: VirtualShard(128)) == nil)
        for n in 0..<UInt64(100) {
            let point = PointID.number(n)
            #expect(routing.shardIndex(of: point) == routing.shardIndex(of: VirtualShard(of: point, count: 128)))
        }
        world.commit([.delete(key: ControlKey.collection("c"))])
        #expect(world.state.routing(of: id) == nil)
    }

    @Test func valuesThatCannotBeReadCountAsAbsentAndAreNamed() {
        var world = World()
        world.commit([.put(key: "nodes/1", value: Array("?".utf8)), .put(key: "future/x", value: [])])
        #expect(world.state.nodes.isEmpty)
        #expect(world.state.unreadableKeys == ["nodes/1"])
        world.join(NodeID(1))
        #expect(world.state.unreadableKeys.isEmpty)
    }

    @Test func newsThatTheStateHasAlreadyAreSkipped() {
        var world = World()
        world.join(NodeID(1))
        var state = world.state
        let revision = state.revision
        state.apply([.delete(key: "nodes/1", revision: Revision(1))], upTo: Revision(1))
        #expect(state.nodes[NodeID(1)] != nil)
        #expect(state.revision == revision)
    }

    /// What a primary on etcd waits for: a node that may still answer by an older record is waited for, and no other.
    @Test func aChangeIsKnownWhenEveryNodeThatHeldALeaseSaysSoOrLostIt() {
        var world = World()
        for node in 1...4 { world.join(NodeID(UInt32(node))) }
        world.put("shards/c/0", Dummy())
        let change = world.state.revision
        #expect(world.state.newestMapChange == change)
        #expect(world.listedState.newestMapChange == change)
        let mustKnow: (Int) -> [NodeID] = { waiting in (1...4).filter { $0 != waiting }.map { NodeID(UInt32($0)) } }
        for node in 1...4 { #expect(!world.state.isKnown(change, exempt: mustKnow(node))) }
        // One says that it knows an older state, one this one, one is gone, and one came back later.
        world.put(ControlKey.known(NodeID(1)), KnownRevision(Revision(change.rawValue - 1)))
        world.put(ControlKey.known(NodeID(2)), KnownRevision(change))
        world.fall(NodeID(3))
        world.fall(NodeID(4))
        world.rise(NodeID(4))
        for state in [world.state, world.listedState] {
            #expect(!state.isKnown(change, exempt: mustKnow(1)))
            for node in 2...4 { #expect(state.isKnown(change, exempt: mustKnow(node))) }
            #expect(!state.isKnown(change))
            #expect(state.isKnown(change, exempt: [NodeID(1)]))
        }
        world.commit([.delete(key: ControlKey.known(NodeID(2)))])
        #expect(!world.state.isKnown(change, exempt: [NodeID(1)]))
    }

    private struct Dummy: ControlRecord {}

    @Test func theCacheFollowsTheStoreAndARefreshSeesWhatWasCommittedBefore() async throws {
        let fixture = try ControlStoreFixture(.lmdb)
        let (writer, reader) = (try fixture.client(), try fixture.client())
        let cache = ClusterStateCache(store: reader, logger: quiet)
        try await cache.load()
        // Nobody watches yet: a refresh alone brings the news, every time.
        for n in 1...10 {
            let node = NodeRecord(id: NodeID(UInt32(n)), httpAddress: "a", rpcHost: "h", rpcPort: n)
            try await writer.put(ControlKey.node(node.id), value: node.encoded)
            #expect(try await cache.refreshIfStale().nodes.count == n)
        }
        let following = Task { await cache.run() }
        async let seen = cache.wait(deadline: .after(.seconds(20))) { $0.nodes[NodeID(11)] != nil }
        let node = NodeRecord(id: NodeID(11), httpAddress: "a", rpcHost: "h", rpcPort: 1)
        try await writer.put(ControlKey.node(node.id), value: node.encoded)
        #expect(await seen?.nodes.count == 11)
        // Far more changes than the log holds, while nobody looks.
        #expect(await cache.wait(deadline: .after(.milliseconds(1))) { _ in false } == nil)
        following.cancel()
        await following.value
        for _ in 0..<40 {
            _ = try await writer.transaction(
                guards: [],
                mutations: (0..<ControlLimits.transactionOperations).map { .put(key: "other/\($0)", value: []) })
        }
        _ = try await writer.transaction(guards: [], mutations: [.delete(key: ControlKey.node(NodeID(1)))])
        #expect(try await cache.refreshIfStale().nodes.count == 10)
    }
}

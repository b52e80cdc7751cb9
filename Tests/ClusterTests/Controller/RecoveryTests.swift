import Cluster
import DataModel
import Testing

/// A recovery fills a collection under a hidden name, which then takes another's place.
@Suite struct RecoveryTests {
    private static let hidden = CollectionRecord.recoveringName("c", CollectionID("n"))

    /// A cluster with a collection `c`, and one that node 2 recovers to take its place.
    private func recoveringWorld() throws -> (world: World, former: CollectionID, record: CollectionRecord) {
        var world = World()
        for node in 1...3 { world.join(NodeID(UInt32(node))) }
        let former = try world.create("c")
        let id = try world.create("n", state: .creating)
        var record = try #require(world.state.collection("n")).value
        record.name = Self.hidden
        record.recovery = .init(node: NodeID(2), incarnation: 1)
        world.commit([
            .delete(key: ControlKey.collection("n")),
            .put(key: ControlKey.collection(record.name), value: record.encoded),
        ])
        #expect(world.state.collection(id)?.value == record)
        return (world, former, record)
    }

    @Test func aRecoveryMayTakeAsLongAsItsNodeWorksOnIt() throws {
        var (world, former, record) = try recoveringWorld()
        world.settle(now: 1_000_000)
        #expect(world.state.collection(record.id)?.value == record)
        #expect(world.state.shards(of: former).count == 3)
    }

    @Test func aRecoveryWhoseProcessEndedIsClearedAway() throws {
        for isBack in [false, true] {
            var (world, former, record) = try recoveringWorld()
            if isBack {
                world.put(
                    ControlKey.live(NodeID(2)), NodeLiveness(id: NodeID(2), incarnation: 2, pid: 2, startedAt: 0))
            } else {
                world.fall(NodeID(2))
            }
            world.settle()
            #expect(world.state.collection(record.id)?.value == nil)
            #expect(world.state.shards(of: record.id).isEmpty)
            #expect(world.state.shards(of: former).count == 3)
        }
    }

    @Test func theExchangeOfNamesIsSeenAsOneWhicheverChangeComesFirst() throws {
        for deletesFirst in [true, false] {
            var (world, former, record) = try recoveringWorld()
            record.name = "c"
            (record.state, record.recovery) = (.ready, nil)
            let mutations: [ControlMutation] = [
                .delete(key: ControlKey.collection(Self.hidden)),
                .put(key: ControlKey.collection("c"), value: record.encoded),
            ]
            world.commit(deletesFirst ? mutations : mutations.reversed())
            #expect(world.state.collection(record.id)?.value == record)
            #expect(world.state.collection(former)?.value == nil)
            #expect(world.state.routing(of: "c")?.collection.value.id == record.id)
            #expect(world.listedState.routing(of: "c")?.shards == world.state.routing(of: "c")?.shards)
            world.settle()
            #expect(world.state.shards(of: former).isEmpty)
            #expect(world.state.shards(of: record.id).count == 3)
        }
    }
}

import Coordinator
import DataModel
import Testing
import shoal

@Suite struct ClusterTextTests {
    @Test func shardsAreOneBlockOfReplicasEach() {
        let shard = ShardTable.Shard(
            number: ShardNumber(0), virtualShards: [.init(lower: 0, upper: 42), .init(lower: 50, upper: 50)],
            epoch: Epoch(2),
            replicas: [
                .init(
                    node: NodeID(1), state: .inSync, isPrimary: true, points: 39_000, unindexedRows: 0,
                    bytes: 80 << 20, sequence: SequenceNumber(12), deadRows: 7),
                .init(node: NodeID(2), state: .unreachable, isPrimary: false),
            ])
        let table = ShardTable(collection: "words", collectionID: CollectionID("ab"), shards: [shard])
        #expect(
            ClusterText.shards([table]) == """
                collection words
                SHARD  VIRTUAL  EPOCH  NODE  ROLE     STATE        POINTS  UNINDEXED  DEAD      SIZE  SEQUENCE
                    0  0-42,50      2     1  primary  in sync      39,000          0     7  80.0 MiB        12
                                          2  backup   unreachable       -          -     -         -         -

                """)
    }

    @Test func aPlanGivesTheReasonOfEachMove() {
        let plan = OperationPlan(
            loads: [.init(node: NodeID(1), zone: "a", replicas: 2, points: 10, bytes: 1_024)],
            steps: [
                .init(
                    kind: "move", collection: "words", shard: ShardNumber(0), from: NodeID(1), to: NodeID(3),
                    bytes: 2_048, reason: "node 1 has 2 more replicas than node 3"),
                .init(
                    kind: "drop-replica", collection: "words", shard: ShardNumber(1), from: NodeID(2), bytes: 0,
                    reason: "node 2 is down"),
            ])
        let text = ClusterText.plan(plan)
        #expect(text.contains("move words/0 node 1 -> 3"))
        #expect(text.contains("node 1 has 2 more replicas than node 3"))
        #expect(text.contains("drop-replica words/1 on node 2"))
        #expect(ClusterText.plan(OperationPlan(loads: [], steps: [])).contains("nothing to move"))
    }

    @Test func aClusterWithoutCollectionsSaysSo() {
        let status = ClusterStatus(
            clusterID: "c1", answeredBy: NodeID(1),
            nodes: [
                .init(
                    id: NodeID(1), httpAddress: "a:1", rpcAddress: "a:2", alive: false, isController: true,
                    replicas: 0, primaries: 0)
            ], collections: [], operations: [])
        let text = ClusterText.status(status)
        #expect(text.contains("   1  lost   controller"))
        #expect(text.contains("no collections"))
    }

    @Test func urlPartsAreEncoded() {
        #expect(URLText.queryValue("a b&c/ä") == "a%20b%26c%2F%C3%A4")
        #expect(URLText.pathComponent("abc-_.~09") == "abc-_.~09")
    }
}

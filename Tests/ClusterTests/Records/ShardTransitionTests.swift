import Cluster
import DataModel
import Testing

@Suite struct ShardTransitionTests {
    private let shard = ShardRecord(
        id: ShardID(collection: CollectionID("c"), number: ShardNumber(0)),
        virtualShards: [VirtualShardRange(lower: 0, upper: 127)],
        replicas: [
            ReplicaRecord(node: NodeID(1), state: .inSync), ReplicaRecord(node: NodeID(2), state: .inSync),
            ReplicaRecord(node: NodeID(3), state: .catchingUp),
        ], primary: NodeID(1), epoch: Epoch(7), handover: NodeID(2))

    @Test func eachTransitionRaisesTheEpochAndKeepsTheInvariants() throws {
        let demoted = try shard.demoting(NodeID(2), by: NodeID(1))
        #expect(demoted.inSync == [NodeID(1)])
        #expect(demoted.handover == nil)
        let promoted = try shard.promoting(NodeID(3), by: NodeID(1))
        #expect(promoted.inSync.count == 3)
        let handedOver = try shard.handingOver(to: NodeID(2), by: NodeID(1))
        #expect(handedOver.primary == NodeID(2))
        #expect(handedOver.handover == nil)
        for record in [demoted, promoted, handedOver] {
            #expect(record.violation == nil)
            #expect(record.epoch == Epoch(8))
        }
    }

    @Test func onlyThePrimaryMakesThem() {
        #expect(throws: ShardTransitionError.notPrimary(NodeID(2))) { try shard.demoting(NodeID(1), by: NodeID(2)) }
        #expect(throws: ShardTransitionError.notPrimary(NodeID(3))) { try shard.promoting(NodeID(3), by: NodeID(3)) }
        #expect(throws: ShardTransitionError.notPrimary(NodeID(2))) {
            try shard.handingOver(to: NodeID(2), by: NodeID(2))
        }
    }

    @Test func impossibleOnesAreRefused() {
        #expect(throws: ShardTransitionError.isPrimary(NodeID(1))) { try shard.demoting(NodeID(1), by: NodeID(1)) }
        #expect(throws: ShardTransitionError.wrongState(NodeID(3))) { try shard.demoting(NodeID(3), by: NodeID(1)) }
        #expect(throws: ShardTransitionError.wrongState(NodeID(2))) { try shard.promoting(NodeID(2), by: NodeID(1)) }
        #expect(throws: ShardTransitionError.wrongState(NodeID(3))) {
            try shard.handingOver(to: NodeID(3), by: NodeID(1))
        }
        #expect(throws: ShardTransitionError.noSuchReplica(NodeID(9))) { try shard.promoting(NodeID(9), by: NodeID(1)) }
    }

    @Test func recordsSurviveTheirEncodingAndGarbageIsNone() throws {
        #expect(ShardRecord(encoded: shard.encoded) == shard)
        let operation = OperationRecord(
            id: "o", kind: .move(collection: CollectionID("c"), shard: ShardNumber(1), from: NodeID(1), to: NodeID(2)),
            reason: "r", createdAt: 1.5, blockedSince: 2)
        #expect(OperationRecord(encoded: operation.encoded) == operation)
        // As versions wrote it that knew neither parents nor throttles.
        let old = #"""
            {"bytesTotal":0,"createdAt":1.5,"blockedSince":2,"detail":"","hasStarted":false,"id":"o","kind":{"move":
            {"collection":"c","from":1,"shard":1,"to":2}},"reason":"r","state":"planned"}
            """#
        #expect(OperationRecord(encoded: Array(old.utf8)) == operation)
        let progress = OperationProgress(bytesDone: 1, bytesTotal: 2, lackOfRoom: "none")
        #expect(OperationProgress(encoded: progress.encoded)?.lackOfRoom == "none")
        // As versions wrote it that did not speak of room.
        let copying = OperationProgress(encoded: Array(#"{"bytesDone":1,"bytesTotal":2}"#.utf8))
        #expect(copying?.bytesTotal == 2 && copying?.lackOfRoom == nil)
        #expect(ShardRecord(encoded: Array("{".utf8)) == nil)
        #expect(ShardRecord(encoded: []) == nil)
    }
}

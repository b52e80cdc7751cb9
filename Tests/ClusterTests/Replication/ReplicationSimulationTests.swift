import Cluster
import DataModel
import Testing

@Suite struct ReplicationSimulationTests {
    /// Replay one seed by running this test with that argument alone.
    @Test(arguments: 0..<80)
    func everyInSyncReplicaHoldsEveryAcknowledgedWriteAndAllEndEqual(seed: UInt64) async throws {
        var simulation = try ReplicationSimulation(seed: seed)
        for _ in 0..<1_500 {
            simulation.step()
            try #require(simulation.violations.isEmpty, "seed \(seed)")
            await Task.yield()
        }
        simulation.heal()
        #expect(simulation.violations.isEmpty, "seed \(seed)")
        let record = try #require(simulation.world.state.shard(simulation.shard)?.value)
        #expect(record.inSync.count == 3, "seed \(seed): \(record)")
        let logs = simulation.nodes.compactMap { simulation.replicas[$0]?.log }
        #expect(Set(logs).count == 1, "seed \(seed): \(logs.map { $0.suffix(3) })")
        #expect(!simulation.acknowledged.isEmpty, "seed \(seed)")
    }
}

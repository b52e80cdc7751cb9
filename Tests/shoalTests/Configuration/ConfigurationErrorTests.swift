import Testing
import shoal

/// Each mistake is told with the file, the line and the key path.
@Suite struct ConfigurationErrorTests {
    struct Mistake: Sendable, CustomTestStringConvertible {
        var yaml: String
        var line: Int?
        var keyPath: String
        /// Part of the reason.
        var reason: String
        var testDescription: String { "\(keyPath): \(reason)" }

        init(_ yaml: String, _ line: Int?, _ keyPath: String, _ reason: String) {
            self.yaml = yaml
            self.line = line
            self.keyPath = keyPath
            self.reason = reason
        }
    }

    static let mistakes = [
        Mistake("cluster:\n  nodeCont: 3", 2, "cluster.nodeCont", "did you mean `nodeCount`?"),
        Mistake("# one\ncolour: red", 2, "colour", "unknown key"),
        Mistake("cluster:\n  sharding:\n    shards: 3", 3, "cluster.sharding.shards", "physicalShards, virtualShards"),
        Mistake("cluster:\n  nodeCount: three", 2, "cluster.nodeCount", "`three` is not a whole number"),
        Mistake("cluster:\n  nodeCount: 2.5", 2, "cluster.nodeCount", "not a whole number"),
        Mistake("cluster:\n  nodeCount: 0", 2, "cluster.nodeCount", "outside of 1 to 64"),
        Mistake("cluster:\n  nodeCount: [1, 2]", 2, "cluster.nodeCount", "expected one value"),
        Mistake("cluster:\n  nodeCount:", 2, "cluster.nodeCount", "has no value"),
        Mistake("cluster:\n  zones: [a, b]", 2, "cluster.zones", "there are 2 for 3 nodes"),
        Mistake("cluster:\n  rebalance: always", 2, "cluster.rebalance", "manual, automatic"),
        Mistake("replication:\n  transfersPerNode: 0", 2, "replication.transfersPerNode", "outside of 1 to 64"),
        Mistake("cluster: 3", 1, "cluster", "expected settings"),
        Mistake("- a\n- b", 1, "", "expected settings"),
        Mistake(
            "cluster:\n  nodeCount: 2\n  replicationFactor: 3", 3, "cluster.replicationFactor", "cluster.nodeCount is 2"
        ),
        Mistake(
            "cluster:\n  writeConsistencyFactor: 3", 2, "cluster.writeConsistencyFactor", "no write could succeed"),
        Mistake(
            "cluster:\n  sharding:\n    virtualShards: 2\n    physicalShards: 4", 4,
            "cluster.sharding.physicalShards", "virtualShards is 2"),
        Mistake("cluster:\n  httpPort: 7000\n  rpcPort: 7020", 3, "cluster.rpcPort", "port 7020"),
        Mistake("cluster:\n  httpPort: 6345", 2, "cluster.httpPort", "port 6345"),
        Mistake("cluster:\n  httpPort: 65530", 2, "cluster.httpPort", "port 65550"),
        Mistake("cluster:\n  rpcPort: 70000", 2, "cluster.rpcPort", "outside of 1 to 65535"),
        Mistake("nodes:\n  - host: a", 1, "nodes", "a list of hosts is not supported yet"),
        Mistake("storage:\n  durability: fsync", 2, "storage.durability", "commit, interval"),
        Mistake("storage:\n  pointsMapSize: 32", 2, "storage.pointsMapSize", "32GiB"),
        Mistake("storage:\n  indexMapSize: 1KiB", 2, "storage.indexMapSize", "outside of 64MiB to 8TiB"),
        Mistake("storage:\n  retainedLog: 1GiB", 2, "storage.retainedLog", "smaller than"),
        Mistake("replication:\n  timeout: 10", 2, "replication.timeout", "10s"),
        Mistake("replication:\n  leaseDuration: 1ms", 2, "replication.leaseDuration", "outside of 500ms to 1m"),
        Mistake("log:\n  level: loud", 2, "log.level", "warning"),
        Mistake("search:\n  threads: 0", 2, "search.threads", "outside of 1"),
        Mistake("cluster:\n\tnodeCount: 3", 2, "", "is not YAML"),
        Mistake("cluster:\n  nodeCount: 3\n  httpPort: 7000\n  nodeCount: 2", 4, "nodeCount", "more than once"),
    ]

    @Test(arguments: mistakes)
    func namesFileLineAndKey(mistake: Mistake) {
        let error = #expect(throws: ConfigurationError.self) {
            try ClusterConfiguration(yaml: mistake.yaml, file: "my.yaml")
        }
        #expect(error?.line == mistake.line)
        #expect(error?.keyPath == mistake.keyPath)
        #expect(error?.reason.contains(mistake.reason) == true, "\(error?.reason ?? "")")
        #expect(error?.description.hasPrefix("my.yaml:\(mistake.line ?? 0): ") == true)
    }

    @Test func aMissingFileIsNamed() {
        let error = #expect(throws: ConfigurationError.self) { try ClusterConfiguration(path: "/no/such/cluster.yaml") }
        #expect(error?.description.hasPrefix("/no/such/cluster.yaml: there is no such file") == true)
    }

    @Test func aPortInUseIsAnErrorOfItsKey() throws {
        let taken = try TakenPort()
        let configuration = try ClusterConfiguration(
            yaml: "cluster:\n  nodeCount: 1\n  httpPort: \(taken.port)", file: "my.yaml")
        let error = #expect(throws: ConfigurationError.self) {
            try configuration.checkPorts(of: configuration.nodes[0])
        }
        #expect(error?.line == 3)
        #expect(error?.keyPath == "cluster.httpPort")
        #expect(error?.reason.contains("in use") == true)
    }
}

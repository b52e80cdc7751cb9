import Cluster
import DataModel
import Foundation
import Shard
import Testing
import shoal

@Suite struct ClusterConfigurationTests {
    @Test func anEmptyFileMeansTheDefaults() throws {
        for yaml in ["", "# nothing\n", "cluster:\nstorage:\n"] {
            #expect(values(of: try ClusterConfiguration(yaml: yaml, file: "c")) == values(of: ClusterConfiguration()))
        }
    }

    @Test func theFileOfTheRepositoryStatesEveryDefault() throws {
        var root = URL(filePath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let shipped = try ClusterConfiguration(path: root.appending(path: "cluster.yaml").path())
        #expect(values(of: shipped) == values(of: ClusterConfiguration()))
        let text = try String(contentsOf: root.appending(path: "cluster.yaml"), encoding: .utf8)
        for (key, value) in values(of: shipped) where value != "nil" {
            let name = key.split(separator: ".").last.map(String.init) ?? key
            #expect(text.contains(" \(name): "), "\(key) is not in cluster.yaml")
        }
    }

    @Test func portsAreTenApart() throws {
        let configuration = try ClusterConfiguration(
            yaml: "cluster:\n  nodeCount: 3\n  httpPort: 7000\n  rpcPort: 7005", file: "c")
        #expect(configuration.nodes.map(\.httpPort) == [7_000, 7_010, 7_020])
        #expect(configuration.nodes.map(\.rpcPort) == [7_005, 7_015, 7_025])
        #expect(configuration.endpoints(of: NodeID(2)).httpURL == "http://127.0.0.1:7010")
    }

    @Test func defaultsFollowTheNumberOfNodes() throws {
        let one = try ClusterConfiguration(yaml: "cluster:\n  nodeCount: 1", file: "c")
        #expect(one.replicationFactor == 1)
        #expect(one.physicalShards == 1)
        let five = try ClusterConfiguration(yaml: "cluster:\n  nodeCount: 5", file: "c")
        #expect(five.replicationFactor == 2)
        #expect(five.physicalShards == 5)
    }

    @Test func everySettingIsTaken() throws {
        let configuration = try ClusterConfiguration(
            yaml: """
                cluster: {name: words-2, nodeCount: 4, replicationFactor: 3, writeConsistencyFactor: 2,
                          httpPort: 7001, rpcPort: 7002, zones: [a, b, a, b, c], rebalance: automatic, rebalanceAfter: 5m,
                          sharding: {virtualShards: 256, physicalShards: 8}}
                http: {host: 0.0.0.0, maxMemory: 64MiB}
                rpc: {host: "::1"}
                storage: {durability: interval, syncInterval: 200ms, pointsMapSize: 1TiB, indexMapSize: 512MiB,
                          maxUnindexedRows: 5000, maxOverlay: 64MiB, retainedLog: 2MiB, maxPinnedLog: 3MiB}
                search: {threads: 3, timeout: 7s, hedgePercent: 5}
                indexing: {threads: 2}
                replication: {timeout: 20s, refusalTimeout: 4s, unreachableTimeout: 500ms, leaseDuration: 6s,
                              compareInterval: 5m, transfersPerNode: 2, maxTransferBytesPerSecond: 10MiB}
                log: {level: debug}
                """, file: "c")
        let expected = [
            "cluster.name": "words-2",
            "cluster.nodeCount": "4", "cluster.replicationFactor": "3", "cluster.writeConsistencyFactor": "2",
            "cluster.httpPort": "7001", "cluster.rpcPort": "7002", "cluster.sharding.virtualShards": "256",
            "cluster.sharding.physicalShards": "8", "http.host": "0.0.0.0", "http.maxMemory": "64MiB",
            "search.timeout": "7s", "search.hedgePercent": "5", "rpc.host": "::1",
            "storage.durability": "interval", "storage.syncInterval": "200ms", "storage.pointsMapSize": "1TiB",
            "storage.indexMapSize": "512MiB", "storage.maxUnindexedRows": "5000", "storage.maxOverlay": "64MiB",
            "storage.retainedLog": "2MiB", "storage.maxPinnedLog": "3MiB", "search.threads": "3",
            "indexing.threads": "2",
            "replication.timeout": "20s", "replication.refusalTimeout": "4s",
            "replication.unreachableTimeout": "500ms", "replication.leaseDuration": "6s",
            "replication.compareInterval": "5m", "log.level": "debug", "cluster.zones": "a b a b c",
            "cluster.rebalance": "automatic", "cluster.rebalanceAfter": "5m", "replication.transfersPerNode": "2",
            "replication.maxTransferBytesPerSecond": "10MiB",
        ]
        #expect(values(of: configuration) == expected)
        // Of nodes that join, too.
        #expect([1, 4, 5, 6].map { configuration.zone(of: NodeID($0)) } == ["a", "b", "c", nil])
        #expect(configuration.endpoints(of: NodeID(5)).httpPort == 7_041)
        // Who listens everywhere is reached through loopback by its peers on this machine.
        #expect(configuration.nodes[0].httpURL == "http://127.0.0.1:7001")
        #expect(configuration.nodes[0].rpcAddress == "[::1]:7002")
    }

    @Test func etcdIsTheControlStoreWhenItIsNamed() throws {
        let plain = try ClusterConfiguration(
            yaml: "cluster: {name: words}\ncontrol: {etcd: {endpoints: [http://a:2379/, \"http://[::1]:2379\"]}}",
            file: "c")
        let expected = EtcdOptions(endpoints: ["http://a:2379", "http://[::1]:2379"], prefix: "/shoal/words/")
        #expect(plain.control == .etcd(expected))
        // Longer than etcd takes to replace its leader.
        #expect(plain.leaseDuration == .seconds(5))
        let yaml = """
            control:
              etcd:
                endpoints: [https://a:2379]
                prefix: /mine
                tls: {caFile: ca.pem, certificateFile: /x/me.pem, keyFile: me.key}
            replication: {leaseDuration: 7s}
            """
        let full = try ClusterConfiguration(yaml: yaml, file: "/etc/shoal/cluster.yaml")
        var options = EtcdOptions(endpoints: ["https://a:2379"], prefix: "/mine/")
        options.tls = EtcdOptions.TLS(
            caFile: "/etc/shoal/ca.pem", certificateFile: "/x/me.pem", keyFile: "/etc/shoal/me.key")
        #expect(full.control == .etcd(options))
        #expect(full.leaseDuration == .seconds(7))
    }

    @Test(arguments: [
        ("etcd: {}", "endpoints"), ("etcd: {endpoints: []}", "endpoints"), ("etcd: {endpoints: a}", "a list"),
        ("etcd: {endpoints: [a:2379]}", "http://10.0.0.1:2379"), ("etcd: {endpoints: [http://a, http://a/]}", "twice"),
        ("etcd: {endpoints: [http://a:1], prefix: x}", "prefix"),
        ("etcd: {endpoints: [http://a:1], user: u}", "passwordFile"),
        ("etcd: {endpoints: [http://a:1], tls: {caFile: x}}", "https"),
        ("etcd: {endpoints: [https://a:1], tls: {keyFile: x}}", "certificateFile"),
        ("etcd: {endpoint: [http://a:1]}", "endpoints"), ("zookeeper: {}", "etcd"),
    ])
    func aBadControlStoreIsAnErrorThatHelps(yaml: String, hint: String) {
        #expect {
            try ClusterConfiguration(yaml: "control:\n  \(yaml)", file: "c")
        } throws: { error in
            (error as? ConfigurationError).map { $0.line == 2 && $0.description.contains(hint) } ?? false
        }
    }

    @Test(arguments: [("0B", 0), ("1KiB", 1_024), ("32GiB", 32 << 30), ("3 MiB", 3 << 20)])
    func sizesHaveUnits(text: String, bytes: Int) {
        #expect(Quantities.bytes(text) == bytes)
    }

    @Test(arguments: ["", "5", "GiB", "-1KiB", "1.5GiB", "1GB", "9999999999999TiB", "1 2KiB", "٣KiB"])
    func otherSizesAreNone(text: String) {
        #expect(Quantities.bytes(text) == nil)
    }

    @Test(arguments: [
        ("250ms", Duration.milliseconds(250)), ("10s", .seconds(10)), ("5m", .seconds(300)), ("1h", .seconds(3_600)),
    ])
    func durationsHaveUnits(text: String, duration: Duration) {
        #expect(Quantities.duration(text) == duration)
        #expect(Quantities.text(duration) == text)
    }

    private func values(of configuration: ClusterConfiguration) -> [String: String] {
        let storage = configuration.storage
        let replication = configuration.replication
        return [
            "cluster.name": configuration.name,
            "cluster.nodeCount": "\(configuration.nodeCount)",
            "cluster.replicationFactor": "\(configuration.replicationFactor)",
            "cluster.writeConsistencyFactor": "\(configuration.writeConsistencyFactor)",
            "cluster.httpPort": "\(configuration.httpPort)",
            "cluster.rpcPort": "\(configuration.rpcPort)",
            "cluster.sharding.virtualShards": "\(configuration.virtualShards)",
            "cluster.sharding.physicalShards": "\(configuration.physicalShards)",
            "http.host": configuration.httpHost,
            "http.maxMemory": Quantities.text(bytes: configuration.maximumRequestBytes),
            "search.timeout": Quantities.text(configuration.readTimeout),
            "search.hedgePercent": "\(configuration.hedgePercent)",
            "rpc.host": configuration.rpcHost,
            "storage.durability": storage.durability.rawValue,
            "storage.syncInterval": Quantities.text(storage.syncInterval),
            "storage.pointsMapSize": Quantities.text(bytes: storage.pointsMapBytes),
            "storage.indexMapSize": Quantities.text(bytes: storage.indexMapBytes),
            "storage.maxUnindexedRows": "\(storage.maximumUnindexedRows)",
            "storage.maxOverlay": Quantities.text(bytes: storage.maximumOverlayBytes),
            "storage.retainedLog": Quantities.text(bytes: storage.retainedLogBytes),
            "storage.maxPinnedLog": Quantities.text(bytes: storage.maximumPinnedLogBytes),
            "search.threads": configuration.searchThreads.map { "\($0)" } ?? "nil",
            "indexing.threads": configuration.indexingThreads.map { "\($0)" } ?? "nil",
            "replication.timeout": Quantities.text(replication.replicationTimeout),
            "replication.refusalTimeout": Quantities.text(replication.refusalTimeout),
            "replication.unreachableTimeout": Quantities.text(replication.unreachableTimeout),
            "replication.leaseDuration": Quantities.text(configuration.leaseDuration),
            "replication.compareInterval": Quantities.text(configuration.comparisonInterval),
            "log.level": configuration.logLevel.rawValue,
            "cluster.zones": configuration.zones.isEmpty ? "nil" : configuration.zones.joined(separator: " "),
            "cluster.rebalance": configuration.rebalance.rawValue,
            "cluster.rebalanceAfter": Quantities.text(configuration.rebalanceAfter),
            "replication.transfersPerNode": "\(configuration.transfersPerNode)",
            "replication.maxTransferBytesPerSecond":
                configuration.maximumTransferBytesPerSecond.map { Quantities.text(bytes: $0) } ?? "nil",
        ]
    }
}

import Cluster
import DataModel
import Shard
import Yams

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension ClusterConfiguration {
    /// Reads and checks the file at `path`.
    package init(path: String) throws(ConfigurationError) {
        let text: String
        do {
            text = try String(contentsOf: URL(filePath: path), encoding: .utf8)
        } catch {
            let reason =
                FileManager.default.fileExists(atPath: path)
                ? "cannot be read as UTF-8 text"
                : "there is no such file; name one with --config, or start a single node with `shoal serve`"
            throw ConfigurationError(file: path, line: nil, keyPath: "", reason: reason)
        }
        try self.init(yaml: text, file: path)
    }

    /// Reads and checks the text of a `cluster.yaml`; `file` is what errors call it.
    package init(yaml: String, file: String) throws(ConfigurationError) {
        self.init()
        source = Source(file: file, lines: [:])
        var root = try YAMLSection(file: file, path: "", line: nil, node: try Self.compose(yaml, file: file))
        try readCluster(&root)
        try readControl(&root)
        try readServers(&root)
        try readStorage(&root)
        try readSnapshots(&root)
        try readReplication(&root)
        try finish(root)
        try check()
    }

    private static func compose(_ yaml: String, file: String) throws(ConfigurationError) -> Yams.Node? {
        do {
            return try Yams.compose(yaml: yaml)
        } catch let error as YamlError {
            throw ConfigurationError(yamlError: error, yaml: yaml, file: file)
        } catch {
            throw ConfigurationError(file: file, line: nil, keyPath: "", reason: "is not YAML: \(error)")
        }
    }

    // MARK: - Sections

    private mutating func readCluster(_ root: inout YAMLSection) throws(ConfigurationError) {
        if root.contains("nodes") {
            throw root.error(
                "nodes",
                "a list of hosts is not supported yet; use cluster.nodeCount, and on each machine start its nodes with "
                    + "`shoal serve --node` and a file of its own in which http.host and rpc.host are that machine's")
        }
        var cluster = try root.section("cluster")
        name = try cluster.text("name") ?? name
        let letters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
        guard (1...64).contains(name.count), name.allSatisfy({ letters.contains($0) }) else {
            throw cluster.error("name", "`\(name)` is not 1 to 64 letters, digits, `-`, `_` and `.`")
        }
        nodeCount = try cluster.integer("nodeCount", in: Self.nodeCounts) ?? nodeCount
        replicationFactor =
            try cluster.integer("replicationFactor", in: Limits.replicationFactor) ?? min(2, nodeCount)
        writeConsistencyFactor =
            try cluster.integer("writeConsistencyFactor", in: Limits.replicationFactor) ?? writeConsistencyFactor
        httpPort = try cluster.integer("httpPort", in: 1...65_535) ?? httpPort
        rpcPort = try cluster.integer("rpcPort", in: 1...65_535) ?? rpcPort
        try readBalance(&cluster)
        var sharding = try cluster.section("sharding")
        virtualShards = try sharding.integer("virtualShards", in: Limits.virtualShards) ?? virtualShards
        physicalShards =
            try sharding.integer("physicalShards", in: Limits.physicalShards) ?? min(nodeCount, virtualShards)
        try finish(sharding)
        try finish(cluster)
    }

    private mutating func readBalance(_ cluster: inout YAMLSection) throws(ConfigurationError) {
        zones = try cluster.texts("zones") ?? zones
        for zone in zones where !(1...64).contains(zone.count) {
            throw cluster.error("zones", "`\(zone)` is not a name of 1 to 64 characters")
        }
        if !zones.isEmpty, zones.count < nodeCount {
            throw cluster.error("zones", "there are \(zones.count) for \(nodeCount) nodes; name one for each")
        }
        rebalance = try cluster.choice("rebalance", Rebalance.self) ?? rebalance
        rebalanceAfter =
            try cluster.duration("rebalanceAfter", in: .seconds(1)...(.seconds(86_400))) ?? rebalanceAfter
    }

    private mutating func readServers(_ root: inout YAMLSection) throws(ConfigurationError) {
        var http = try root.section("http")
        httpHost = try http.text("host") ?? httpHost
        maximumRequestBytes = try http.bytes("maxMemory", in: Self.requestMemory) ?? maximumRequestBytes
        try finish(http)
        var rpc = try root.section("rpc")
        rpcHost = try rpc.text("host") ?? rpcHost
        try finish(rpc)
        var log = try root.section("log")
        logLevel = try log.choice("level", LogLevel.self) ?? logLevel
        try finish(log)
    }

    private mutating func readStorage(_ root: inout YAMLSection) throws(ConfigurationError) {
        var section = try root.section("storage")
        storage.durability = try section.choice("durability", ShardOptions.Durability.self) ?? storage.durability
        storage.syncInterval =
            try section.duration("syncInterval", in: .milliseconds(10)...(.seconds(60))) ?? storage.syncInterval
        storage.pointsMapBytes = try section.bytes("pointsMapSize", in: Self.mapSizes) ?? storage.pointsMapBytes
        storage.indexMapBytes = try section.bytes("indexMapSize", in: Self.mapSizes) ?? storage.indexMapBytes
        storage.maximumUnindexedRows =
            try section.integer("maxUnindexedRows", in: 1_000...10_000_000) ?? storage.maximumUnindexedRows
        storage.maximumOverlayBytes =
            try section.bytes("maxOverlay", in: Self.overlaySizes) ?? storage.maximumOverlayBytes
        storage.retainedLogBytes =
            try section.bytes("retainedLog", in: 1 << 20...1 << 40) ?? storage.retainedLogBytes
        storage.maximumPinnedLogBytes =
            try section.bytes("maxPinnedLog", in: 1 << 20...1 << 40) ?? storage.maximumPinnedLogBytes
        if storage.maximumPinnedLogBytes < storage.retainedLogBytes {
            throw section.error(
                section.contains("maxPinnedLog") ? "maxPinnedLog" : "retainedLog",
                "storage.maxPinnedLog, \(Quantities.text(bytes: storage.maximumPinnedLogBytes)), is smaller than "
                    + "storage.retainedLog, \(Quantities.text(bytes: storage.retainedLogBytes))")
        }
        storage.verifyInterval =
            try section.duration("verifyInterval", in: .seconds(60)...(.seconds(10_000 * 3_600))) ?? storage.verifyInterval
        var compaction = try section.section("compaction")
        // From 1 percent on a shard would be rewritten without end.
        if let percent = try compaction.integer("deadPercent", in: 5...100) {
            storage.compaction.deadFraction = Double(percent) / 100
        }
        storage.compaction.minimumDeadRows =
            try compaction.integer("minDeadRows", in: 256...1_000_000_000) ?? storage.compaction.minimumDeadRows
        try finish(compaction)
        try finish(section)
        var search = try root.section("search")
        searchThreads = try search.integer("threads", in: Self.threadCounts)
        readTimeout = try search.duration("timeout", in: .seconds(1)...(.seconds(3_600))) ?? readTimeout
        hedgePercent = try search.integer("hedgePercent", in: 0...100) ?? hedgePercent
        try finish(search)
        var indexing = try root.section("indexing")
        indexingThreads = try indexing.integer("threads", in: Self.threadCounts)
        try finish(indexing)
    }

    private mutating func readSnapshots(_ root: inout YAMLSection) throws(ConfigurationError) {
        var section = try root.section("snapshots")
        snapshotsFolder = try Self.absolutePath("folder", of: &section)
        importFolder = try Self.absolutePath("importFolder", of: &section)
        try finish(section)
    }

    /// A relative one would depend on where each process was started.
    private static func absolutePath(
        _ key: String, of section: inout YAMLSection
    ) throws(ConfigurationError) -> String? {
        guard let path = try section.text(key) else { return nil }
        guard path.hasPrefix("/") else { throw section.error(key, "`\(path)` is not an absolute path") }
        return path
    }

    private mutating func readReplication(_ root: inout YAMLSection) throws(ConfigurationError) {
        var section = try root.section("replication")
        let timeouts = Duration.milliseconds(100)...(.seconds(3_600))
        replication.replicationTimeout =
            try section.duration("timeout", in: timeouts) ?? replication.replicationTimeout
        replication.refusalTimeout =
            try section.duration("refusalTimeout", in: timeouts) ?? replication.refusalTimeout
        replication.unreachableTimeout =
            try section.duration("unreachableTimeout", in: timeouts) ?? replication.unreachableTimeout
        comparisonInterval =
            try section.duration("compareInterval", in: .seconds(1)...(.seconds(10_000 * 3_600))) ?? comparisonInterval
        maximumTransferBytesPerSecond =
            try section.bytes("maxTransferBytesPerSecond", in: 1 << 10...1 << 40) ?? maximumTransferBytesPerSecond
        transfersPerNode = try section.integer("transfersPerNode", in: 1...64) ?? transfersPerNode
        // Shorter than this a busy machine loses leases of nodes that are well.
        leaseDuration =
            try section.duration("leaseDuration", in: .milliseconds(500)...(.seconds(60))) ?? leaseDuration
        try finish(section)
    }

    /// LMDB needs some room to turn around in; x86 has 47 bits of address space for all files together.
    private static let mapSizes = 64 << 20...8 << 40
    /// With little more than the blocks that one row is linked from, each row would need a checkpoint.
    private static let overlaySizes = 16 << 20...1 << 40
    /// A request's body may take a sixteenth of it.
    private static let requestMemory = 16 << 20...1 << 40
    private static let threadCounts = 1...1_024

    private mutating func finish(_ section: YAMLSection) throws(ConfigurationError) {
        try section.refuseUnknownKeys()
        source.lines.merge(section.lines) { $1 }
    }

    // MARK: - Settings that must fit each other

    private func check() throws(ConfigurationError) {
        if replicationFactor > nodeCount {
            throw error(
                "cluster.replicationFactor",
                "\(replicationFactor) replicas need as many nodes, and cluster.nodeCount is \(nodeCount)")
        }
        if writeConsistencyFactor > replicationFactor {
            throw error(
                "cluster.writeConsistencyFactor",
                "\(writeConsistencyFactor) in-sync replicas are more than the \(replicationFactor) that "
                    + "cluster.replicationFactor makes: no write could succeed")
        }
        if physicalShards > virtualShards {
            let key =
                source.lines["cluster.sharding.physicalShards"] == nil
                ? "cluster.sharding.virtualShards" : "cluster.sharding.physicalShards"
            throw error(
                key,
                "\(physicalShards) physical shards need at least as many virtual shards, "
                    + "and cluster.sharding.virtualShards is \(virtualShards)")
        }
        try checkPorts()
    }

    private func checkPorts() throws(ConfigurationError) {
        let offset = (nodeCount - 1) * Self.portStride
        for (key, port) in [("cluster.httpPort", httpPort), ("cluster.rpcPort", rpcPort)] where port + offset > 65_535 {
            throw error(key, "the last of \(nodeCount) nodes would get port \(port + offset); the largest is 65535")
        }
        let http = Dictionary(uniqueKeysWithValues: nodes.map { ($0.httpPort, $0.id) })
        for node in nodes {
            guard let other = http[node.rpcPort] else { continue }
            let key = source.lines["cluster.rpcPort"] == nil ? "cluster.httpPort" : "cluster.rpcPort"
            throw error(
                key,
                "port \(node.rpcPort) would be both the HTTP port of node \(other) and the RPC port of node \(node.id): "
                    + "ports of the nodes are counted up by \(Self.portStride)")
        }
    }
}

extension ConfigurationError {
    /// A syntax error, with the line that libyaml names.
    fileprivate init(yamlError: YamlError, yaml: String, file: String) {
        switch yamlError {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let text = [context?.text, problem].compactMap { $0 }.joined(separator: ", ")
            self.init(file: file, line: mark.line, keyPath: "", reason: "is not YAML: \(text)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            // libyaml names the mapping's first line; the key's second line is where the mistake is.
            let key = duplicates.min() ?? ""
            let lines = yaml.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
                .dropFirst(context.mark.line - 1)
                .filter { $0.element.drop { $0 == " " }.hasPrefix("\(key):") }
            let line = lines.dropFirst().first.map { $0.offset + 1 } ?? context.mark.line
            self.init(file: file, line: line, keyPath: key, reason: "is set more than once")
        default:
            self.init(file: file, line: nil, keyPath: "", reason: "is not YAML: \(yamlError)")
        }
    }
}

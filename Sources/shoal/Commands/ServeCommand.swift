import ArgumentParser
import DataModel
import Glibc
import Node

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run one node in the foreground.",
        discussion: """
            Without options: one node, nothing to configure, data in ./data, HTTP on 127.0.0.1:6333 and \
            RPC on 127.0.0.1:6335. Logs go to standard error; Ctrl-C stops it in order.

            With --config and --node: that node of a cluster, as `shoal up` starts it. Its data is in \
            node-<number> of the data folder, beside the control store that all nodes share; or that is etcd, when \
            the configuration says so. A number beyond cluster.nodeCount is a new node that joins the running cluster, \
            ports counted on; `shoal cluster add` then gives it its share.

            Examples:
              shoal serve
              shoal serve --data /var/lib/shoal
              shoal serve --config cluster.yaml --node 2 --data data
              shoal serve --config cluster.yaml --node 4 --zone b --data data

            Exit codes: 0 stopped in order; 1 failure; 2 wrong configuration, a port in use, or a data folder \
            of another node or cluster.
            """)

    @Option(help: ArgumentHelp("A cluster's settings; without it, built-in ones for a single node.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("Which node of the configuration.", valueName: "number"))
    var node: UInt32?

    @Option(help: ArgumentHelp("What fails together with this node; default: from cluster.zones.", valueName: "name"))
    var zone: String?

    @Option(help: ArgumentHelp("Data and control store.", valueName: "folder"))
    var data = ClusterPlace.defaultData

    func run() async throws {
        try await Outcome.of {
            let configuration =
                try config.map { path throws(ConfigurationError) in
                    try ClusterConfiguration(path: path)
                } ?? .singleNode
            let id = try nodeID(configuration)
            do {
                try await serve(configuration.endpoints(of: id), configuration)
            } catch let error as NodeError {
                throw error.isForOperators ? StartError("\(error)") : error
            }
        }
    }

    private func nodeID(_ configuration: ClusterConfiguration) throws -> NodeID {
        guard let node else {
            guard configuration.nodeCount == 1 else {
                throw StartError(
                    "\(configuration.source.file) has \(configuration.nodeCount) nodes: name one with --node, "
                        + "or start them all with `shoal up`")
            }
            return NodeID(1)
        }
        let numbers = ClusterConfiguration.nodeCounts
        guard numbers.contains(Int(node)) else {
            throw StartError("--node \(node) is outside of \(numbers.lowerBound) to \(numbers.upperBound)")
        }
        let endpoints = configuration.endpoints(of: NodeID(node))
        guard endpoints.httpPort <= 65_535, endpoints.rpcPort <= 65_535 else {
            throw configuration.error("cluster.httpPort", "node \(node) would get a port above 65535")
        }
        return NodeID(node)
    }

    /// For `shoal down` and `shoal up`. On a full disk the node is not announced; it serves reads all the same.
    private func announce(_ endpoints: ClusterConfiguration.Endpoints, in folder: ClusterFolder) {
        guard let own = ProcessIdentity(of: getpid()) else { return }
        let file = folder.process(of: endpoints.id)
        do {
            try JSONFile.write(NodeProcess(process: own, endpoints: endpoints), to: file)
        } catch {
            Terminal.error("\(file) cannot be written, so `shoal down` will not find this node: \(error)")
        }
    }

    private func serve(_ endpoints: ClusterConfiguration.Endpoints, _ configuration: ClusterConfiguration) async throws
    {
        let folder = ClusterFolder(data)
        let nodeFolder = folder.node(endpoints.id)
        try FileManager.default.createDirectory(atPath: nodeFolder, withIntermediateDirectories: true)
        guard let lock = try FileLock(path: folder.processLock(of: endpoints.id)) else {
            let pid = folder.runningProcess(of: endpoints.id).map { " (pid \($0.process.pid))" } ?? ""
            throw StartError(
                "\(nodeFolder) is in use by a node that runs already\(pid); stop it with `shoal down --data \(data)`, "
                    + "or take another folder with --data")
        }
        try configuration.checkPorts(of: endpoints)
        announce(endpoints, in: folder)
        defer { try? FileManager.default.removeItem(atPath: folder.process(of: endpoints.id)) }
        let zone = zone ?? configuration.zone(of: endpoints.id)
        try await NodeAssembly(configuration: configuration, endpoints: endpoints, folder: folder, zone: zone).run()
        withExtendedLifetime(lock) {}
    }
}

import DataModel

/// One node of a cluster on this machine, as `shoal status` shows it.
package struct NodeView: Sendable, Codable, Equatable {
    package enum State: String, Sendable, Codable {
        case ready
        /// The process runs and cannot answer yet, or does not answer.
        case starting
        /// The supervisor will start the process again.
        case restarting
        case down
    }

    package var id: UInt32
    package var pid: Int32?
    package var httpURL: String
    package var rpcAddress: String
    package var dataFolder: String
    package var logFile: String
    package var state: State
    package var restarts: Int
    package var detail: String

    // Written by hand: a pid that there is none of is `null`, not left out.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(pid, forKey: .pid)
        try container.encode(httpURL, forKey: .httpURL)
        try container.encode(rpcAddress, forKey: .rpcAddress)
        try container.encode(dataFolder, forKey: .dataFolder)
        try container.encode(logFile, forKey: .logFile)
        try container.encode(state, forKey: .state)
        try container.encode(restarts, forKey: .restarts)
        try container.encode(detail, forKey: .detail)
    }
}

/// What runs of a cluster on this machine.
package struct ClusterInspection: Sendable, Encodable {
    package struct SupervisorView: Sendable, Encodable, Equatable {
        package var pid: Int32
        package var running: Bool
    }

    /// Nil when there never was one, or it ended in order.
    package var supervisor: SupervisorView?
    package var nodes: [NodeView]

    private enum CodingKeys: String, CodingKey { case supervisor, nodes }

    // Written by hand: no supervisor is `null`, not left out.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(supervisor, forKey: .supervisor)
        try container.encode(nodes, forKey: .nodes)
    }

    package var allReady: Bool { nodes.allSatisfy { $0.state == .ready } }

    /// Looks at the folder's files, at the processes, and asks each running node whether it is ready.
    ///
    /// - Parameter configuration: read only when no supervisor has left a record.
    static func look(
        at folder: ClusterFolder, configuration: () throws -> ClusterConfiguration
    ) async throws -> ClusterInspection {
        let record = folder.supervisorRecordOnDisk
        let views: [NodeView]
        if let record {
            views = record.nodes.map { view(of: $0, supervised: record.supervisor.isRunning, in: folder) }
        } else {
            views = try unsupervised(in: folder, configuration)
        }
        let probed = await withTaskGroup(of: NodeView.self) { group in
            for view in views { group.addTask { await probing(view) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        return ClusterInspection(
            supervisor: record.map { SupervisorView(pid: $0.supervisor.pid, running: $0.supervisor.isRunning) },
            nodes: probed.sorted { $0.id < $1.id })
    }

    private static func view(
        of node: SupervisorRecord.Node, supervised: Bool, in folder: ClusterFolder
    ) -> NodeView {
        let recorded = node.process.flatMap { $0.isRunning ? $0 : nil }
        let process = folder.runningProcess(of: NodeID(node.id))?.process ?? recorded
        let willRestart = supervised && node.state != .down
        return NodeView(
            id: node.id, pid: process?.pid, httpURL: node.httpURL, rpcAddress: node.rpcAddress,
            dataFolder: node.dataFolder, logFile: node.logFile,
            state: process != nil ? .starting : willRestart ? .restarting : .down, restarts: node.restarts,
            detail: process == nil ? node.detail : "")
    }

    /// The nodes of the configuration; without one, those that run here all the same, as after `shoal serve`.
    private static func unsupervised(
        in folder: ClusterFolder, _ configuration: () throws -> ClusterConfiguration
    ) throws -> [NodeView] {
        do {
            return try configuration().nodes.map { view(of: $0, in: folder) }
        } catch {
            let running = folder.nodesWithData.compactMap { id in folder.runningProcess(of: id).map { (id, $0) } }
            if running.isEmpty { throw error }
            return running.map { id, process in
                NodeView(
                    id: id.rawValue, pid: process.process.pid, httpURL: process.httpURL,
                    rpcAddress: process.rpcAddress, dataFolder: folder.node(id), logFile: folder.log(of: id),
                    state: .starting, restarts: 0, detail: "")
            }
        }
    }

    private static func view(of node: ClusterConfiguration.Endpoints, in folder: ClusterFolder) -> NodeView {
        let running = folder.runningProcess(of: node.id)
        return NodeView(
            id: node.id.rawValue, pid: running?.process.pid, httpURL: running?.httpURL ?? node.httpURL,
            rpcAddress: running?.rpcAddress ?? node.rpcAddress, dataFolder: folder.node(node.id),
            logFile: folder.log(of: node.id), state: running == nil ? .down : .starting, restarts: 0, detail: "")
    }

    private static func probing(_ view: NodeView) async -> NodeView {
        guard view.pid != nil else { return view }
        var view = view
        if let reason = await ReadinessProbe.notReadyReason(url: view.httpURL) {
            view.detail = reason
        } else {
            view.state = .ready
        }
        return view
    }
}

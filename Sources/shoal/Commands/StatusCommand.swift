import ArgumentParser

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the cluster's processes on this machine.",
        discussion: """
            For each node: its process, addresses, folders, and whether it is ready, starting (the process \
            runs and cannot take requests yet), restarting (it ended and will be started again) or down.

            Examples:
              shoal status
              shoal status --json

            Exit codes: 0 every node is ready; 3 some are not; 2 wrong configuration.
            """)

    @OptionGroup var place: ClusterPlace

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await Outcome.of {
            let inspection = try await ClusterInspection.look(at: place.folder) { try place.configuration() }
            if json { try Terminal.json(inspection) } else { Terminal.write(render(inspection)) }
            if !inspection.allReady { throw Outcome.notAllReady }
        }
    }

    private func render(_ inspection: ClusterInspection) -> String {
        var table = TextTable([
            .init("NODE", .right), .init("STATE"), .init("PID", .right), .init("RESTARTS", .right), .init("HTTP"),
            .init("RPC"), .init("DATA"), .init("LOG"),
        ])
        for node in inspection.nodes {
            table.add([
                "\(node.id)", node.state.rawValue, node.pid.map { "\($0)" } ?? "-", "\(node.restarts)", node.httpURL,
                node.rpcAddress, node.dataFolder, node.logFile,
            ])
        }
        var text = table.render()
        for node in inspection.nodes where !node.detail.isEmpty { text += "node \(node.id): \(node.detail)\n" }
        switch inspection.supervisor {
        case let supervisor? where supervisor.running: text += "supervisor: pid \(supervisor.pid)\n"
        case .some: text += "supervisor: gone; `shoal up` adopts the nodes that run, `shoal down` stops them\n"
        case nil: text += "supervisor: none\n"
        }
        return text
    }
}

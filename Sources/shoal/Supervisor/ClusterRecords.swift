import DataModel

/// What a running node writes into its data folder, so that it is found whoever started it.
package struct NodeProcess: Sendable, Codable, Equatable {
    package var process: ProcessIdentity
    package var httpURL: String
    package var rpcAddress: String

    package init(process: ProcessIdentity, endpoints: ClusterConfiguration.Endpoints) {
        self.process = process
        httpURL = endpoints.httpURL
        rpcAddress = endpoints.rpcAddress
    }

    package func listens(as endpoints: ClusterConfiguration.Endpoints) -> Bool {
        httpURL == endpoints.httpURL && rpcAddress == endpoints.rpcAddress
    }
}

/// `supervisor.json`: the supervisor and the nodes as it saw them last.
package struct SupervisorRecord: Sendable, Codable, Equatable {
    package enum State: String, Sendable, Codable { case running, restarting, down }

    package struct Node: Sendable, Codable, Equatable {
        package var id: UInt32
        package var process: ProcessIdentity?
        package var httpURL: String
        package var rpcAddress: String
        package var dataFolder: String
        package var logFile: String
        package var state: State
        /// Starts after the first.
        package var restarts: Int
        package var detail: String
    }

    package var supervisor: ProcessIdentity
    package var nodes: [Node]

    package func matches(_ configuration: ClusterConfiguration) -> Bool {
        nodes.map(\.httpURL) == configuration.nodes.map(\.httpURL)
            && nodes.map(\.rpcAddress) == configuration.nodes.map(\.rpcAddress)
    }
}

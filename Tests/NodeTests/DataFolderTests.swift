import Cluster
import DataModel
import Logging
import Node
import Testing

struct DataFolderTests {
    private func start(_ id: UInt32, folder: String, control: String) async throws -> Node {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let store = try LMDBControlStore.open(folder: control, logger: logger)
        let node = Node(
            options: NodeOptions(
                id: NodeID(id), dataFolder: folder, httpAddress: "h:1", rpcHost: "127.0.0.1", rpcPort: 0,
                searchThreads: 1, indexingThreads: 1),
            store: store, logger: logger)
        do {
            try await node.start()
        } catch {
            store.abandon()
            throw error
        }
        return node
    }

    @Test func folderOfAnotherNodeIsRefused() async throws {
        let cluster = try TestCluster()
        let control = cluster.root + "/control"
        try await start(1, folder: cluster.root + "/data", control: control).shutdown()
        await #expect {
            _ = try await start(2, folder: cluster.root + "/data", control: control)
        } throws: { error in
            guard case .foreignDataFolder(let reason) = error as? NodeError else { return false }
            return reason.contains("belongs to node 1")
        }
    }

    @Test func folderOfAnotherClusterIsRefused() async throws {
        let cluster = try TestCluster()
        try await start(1, folder: cluster.root + "/data", control: cluster.root + "/one").shutdown()
        try await start(1, folder: cluster.root + "/other", control: cluster.root + "/two").shutdown()
        for control in ["two", "three"] {
            await #expect {
                _ = try await start(1, folder: cluster.root + "/data", control: "\(cluster.root)/\(control)")
            } throws: { error in
                guard case .foreignDataFolder(let reason) = error as? NodeError else { return false }
                return reason.contains("control store")
            }
        }
    }

    @Test func folderInUseIsRefused() async throws {
        let cluster = try TestCluster()
        let node = try await start(1, folder: cluster.root + "/data", control: cluster.root + "/control")
        await #expect {
            _ = try await start(1, folder: cluster.root + "/data", control: cluster.root + "/control")
        } throws: { error in
            guard case .alreadyRunning = error as? NodeError else { return false }
            return true
        }
        await node.shutdown()
    }
}

import ArgumentParser
import Cluster
import Logging

struct ControlCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "control",
        abstract: "Move the cluster's records to another control store.",
        subcommands: [ControlCopyCommand.self])
}

struct ControlCopyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Copy a stopped cluster's records from one control store to another.",
        discussion: """
            From the files of one machine to etcd, say, or back. Two cluster.yaml files say what the stores are; \
            apart from `control` they may be the same. Points are not touched: they stay where they are.

            All nodes must be stopped. Cut short, it goes on when it is run again; run twice, it does nothing. \
            Afterwards nodes start on the new store only: the old one is marked, until it is copied to again.

            Examples:
              shoal down
              shoal control copy --from cluster.yaml --to cluster-etcd.yaml
              shoal up --config cluster-etcd.yaml

            Exit codes: 0 copied, or was already; 1 nodes run, a store cannot be reached, or the target is in \
            use; 2 wrong configuration.
            """)

    @Option(help: ArgumentHelp("The settings with the present control store.", valueName: "file"))
    var from: String

    @Option(help: ArgumentHelp("The settings with the new one.", valueName: "file"))
    var to: String

    @Option(help: ArgumentHelp("The cluster's data folder: a control store in files is in it.", valueName: "folder"))
    var data = ClusterPlace.defaultData

    func run() async throws {
        try await Outcome.of {
            let folder = ClusterFolder(data)
            let (old, new) = (try ClusterConfiguration(path: from), try ClusterConfiguration(path: to))
            let (oldName, newName) = (
                ControlStores.name(old, folder: folder), ControlStores.name(new, folder: folder)
            )
            guard oldName != newName else {
                throw StartError("\(from) and \(to) name the same control store, \(oldName)")
            }
            try folder.makeFolders()
            var logger = Logger(label: "shoal") { StreamLogHandler.standardError(label: $0) }
            logger.logLevel = .error
            let source = try ControlStores.open(old, folder: folder, logger: logger)
            let target = try ControlStores.open(new, folder: folder, logger: logger)
            let copy = ControlStoreCopy(from: source, named: oldName, to: target, named: newName)
            do {
                // A killed node's lease may not have run out yet.
                let summary = try await copy.run(patience: old.leaseDuration + .seconds(2))
                Terminal.print(
                    summary.wasDone
                        ? "The cluster's records are in \(newName) already; nothing was changed."
                        : "Copied \(summary.records) records from \(oldName) to \(newName), and compared them.")
                Terminal.print("Start the nodes with \(to): `shoal up --config \(to)`")
            } catch {
                await source.close()
                await target.close()
                throw error
            }
            await source.close()
            await target.close()
        }
    }
}

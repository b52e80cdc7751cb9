import Cluster

/// Keeps nodes off a control store that the cluster has left, or has not arrived at yet.
enum StoreMigration {
    /// - Throws: `storeIsLeft`, which says what to do; `controlStore`.
    static func refuse(_ store: any ControlStore) async throws(NodeError) {
        let entry: ControlEntry?
        do {
            entry = try await store.get(ControlKey.migration)
        } catch {
            throw .controlStore(reason: error.description)
        }
        guard let entry else { return }
        guard let migration = MigrationRecord(encoded: entry.value) else {
            throw .controlStore(reason: "its key `migration` cannot be read")
        }
        switch migration.state {
        case .left:
            throw .storeIsLeft(
                reason: "this cluster's control store was copied to \(migration.other): start the nodes with a "
                    + "cluster.yaml whose `control` says so, or copy it back with `shoal control copy`")
        case .arriving:
            throw .storeIsLeft(
                reason: "this cluster's control store is being copied from \(migration.other), and the copy is not "
                    + "complete: run the same `shoal control copy` again")
        }
    }
}

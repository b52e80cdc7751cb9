import Cluster
import DataModel
import Foundation

enum ClusterIdentity {
    /// The cluster's id in the control store.
    ///
    /// - Parameter mayCreate: whether this node, which has no data yet, may found the cluster when there is none.
    /// - Returns: nil when there is none.
    static func find(in store: any ControlStore, mayCreate: Bool) async throws(ControlStoreError) -> String? {
        while true {
            if let entry = try await store.get(ControlKey.cluster) {
                guard let record = ClusterRecord(encoded: entry.value) else {
                    throw .unavailable(reason: "its key `cluster` cannot be read")
                }
                guard record.formatVersion <= ClusterRecord.currentFormatVersion else {
                    throw .unavailable(
                        reason: "its format is \(record.formatVersion), this version knows "
                            + "\(ClusterRecord.currentFormatVersion): start a newer version")
                }
                return record.id
            }
            guard mayCreate else { return nil }
            let record = ClusterRecord(id: UUID().uuidString.lowercased())
            // Another node may found it at the same time; then its id counts.
            _ = try await store.compareAndSwap(ControlKey.cluster, expected: nil, value: record.encoded)
        }
    }
}

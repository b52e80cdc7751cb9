/// Why a node did not start, or stopped.
package enum NodeError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The data folder belongs to another node or cluster; says what to do.
    case foreignDataFolder(reason: String)
    case dataFolder(reason: String)
    case controlStore(reason: String)
    /// The RPC address cannot be bound.
    case address(reason: String)
    /// The cluster's records were moved to another control store.
    case storeIsLeft(reason: String)
    /// Another process runs this node.
    case alreadyRunning(reason: String)

    package var description: String {
        switch self {
        case .foreignDataFolder(let reason), .dataFolder(let reason), .controlStore(let reason), .address(let reason),
            .storeIsLeft(let reason), .alreadyRunning(let reason):
            reason
        }
    }
}

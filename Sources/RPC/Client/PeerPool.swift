package import DataModel
package import Logging
package import NIOCore
import NIOPosix
import Synchronization

/// The other nodes that this node talks to, each with its connections.
package final class PeerPool: Sendable {
    private struct Entry: Sendable {
        let peer: Peer
        var address: PeerAddress
    }

    private let identity: NodeIdentity
    private let group: any EventLoopGroup
    private let security: any ChannelSecurity
    private let logger: Logger
    /// Nil after `shutdown`.
    private let entries = Mutex<[NodeID: Entry]?>([:])

    package init(
        identity: NodeIdentity, group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        security: any ChannelSecurity = PlainTCP(), logger: Logger
    ) {
        self.identity = identity
        self.group = group
        self.security = security
        self.logger = logger
    }

    /// The node at its address. There is one `Peer` for a node as long as the pool lives; when the address is another
    /// than before, what is pending fails with `unreachable`, and the next request goes to the new one.
    package func peer(node: NodeID, host: String, port: Int) -> Peer {
        let address = PeerAddress(host: host, port: port)
        let (peer, isRedirected, isShutDown) = entries.withLock { entries in
            if let entry = entries?[node] {
                entries?[node]?.address = address
                return (entry.peer, entry.address != address, false)
            }
            let peer = Peer(
                client: identity, node: node, address: address, group: group, security: security, logger: logger)
            entries?[node] = Entry(peer: peer, address: address)
            return (peer, false, entries == nil)
        }
        if isRedirected { peer.redirect(to: address) }
        if isShutDown { peer.shutDown() }
        return peer
    }

    /// Closes all connections; what is pending, and all that comes later, fails with `unreachable`.
    package func shutdown() {
        let peers = entries.withLock { entries in
            defer { entries = nil }
            return entries.map { $0.values.map(\.peer) } ?? []
        }
        for peer in peers { peer.shutDown() }
    }
}

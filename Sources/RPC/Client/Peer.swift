package import DataModel
import Logging
import NIOCore
import Synchronization

/// Another node, as this one calls it. Its connections are made when they are needed.
package final class Peer: Sendable {
    /// The kinds of traffic that must not wait behind each other's bytes.
    enum Lane: Sendable {
        /// Small requests that somebody waits for.
        case read
        /// Batches of points of up to tens of megabytes.
        case write
        /// The log on its way to a backup: writers wait for it.
        case replication
        /// Snapshots.
        case bulk
    }

    /// One connection keeps one core's event loop busy; a second one uses the other cores of small machines.
    private static let readConnections: UInt64 = 2

    package let node: NodeID
    private let readers: [PeerConnection]
    private let writer: PeerConnection
    private let replicator: PeerConnection
    private let bulk: PeerConnection
    private let turn = Atomic<UInt64>(0)

    init(
        client: NodeIdentity, node: NodeID, address: PeerAddress, group: any EventLoopGroup,
        security: any ChannelSecurity, logger: Logger
    ) {
        func connection() -> PeerConnection {
            PeerConnection(
                client: client, node: node, address: address, eventLoop: group.next(), security: security,
                logger: logger)
        }
        self.node = node
        readers = (0..<Self.readConnections).map { _ in connection() }
        writer = connection()
        replicator = connection()
        bulk = connection()
    }

    /// The replica of a shard on that node, for the coordinator.
    package func shard(_ id: ShardID) -> RemoteShard { RemoteShard(peer: self, id: id) }

    /// The replica of a shard on that node, for its primary.
    package func replica(_ id: ShardID) -> RemoteReplica { RemoteReplica(peer: self, id: id) }

    /// Returns when the node answered. The answer comes from its event loop: it says nothing about its shards.
    ///
    /// - Throws: `unreachable`, `deadlineExceeded`.
    package func ping(deadline: Deadline) async throws(ShardError) {
        _ = try await connection(for: .read).send(Frame(kind: .ping), body: [], deadline: deadline)
    }

    /// Calls `method` for a shard and decodes the answer.
    ///
    /// - Parameter capacity: the bytes to expect of the encoded arguments.
    func call<Answer>(
        _ method: Method, shard: ShardID, _ context: RequestContext, lane: Lane, capacity: Int = 256,
        arguments: (inout BinaryWriter) -> Void = { _ in },
        answer: (inout BinaryReader) throws(BinaryFormatError) -> Answer
    ) async throws(ShardError) -> Answer {
        var writer = BinaryWriter(capacity: capacity)
        RequestHead(shard: shard, epoch: context.epoch, isStaleAllowed: context.isStaleAllowed).encode(to: &writer)
        arguments(&writer)
        guard Frame.fits(bodyBytes: writer.bytes.count) else {
            throw .invalid(reason: "a message of \(writer.bytes.count) bytes is more than nodes send each other")
        }
        let frame = Frame(
            kind: .request, method: method.rawValue, remainingMicroseconds: context.deadline.remainingMicroseconds)
        let body = try await connection(for: lane).send(frame, body: writer.bytes, deadline: context.deadline)
        do throws(BinaryFormatError) {
            return try body.withUnsafeReadableBytes { (bytes) throws(BinaryFormatError) in
                var reader = BinaryReader(bytes)
                let decoded = try answer(&reader)
                guard reader.remaining == 0 else {
                    throw BinaryFormatError(description: "\(reader.remaining) bytes too many")
                }
                return decoded
            }
        } catch {
            throw .unreachable(reason: "node \(node) sent a malformed answer: \(error)")
        }
    }

    func redirect(to address: PeerAddress) { connections.forEach { $0.redirect(to: address) } }

    func shutDown() { connections.forEach { $0.shutDown() } }

    private var connections: [PeerConnection] { readers + [writer, replicator, bulk] }

    private func connection(for lane: Lane) -> PeerConnection {
        switch lane {
        case .read: readers[Int(turn.wrappingAdd(1, ordering: .relaxed).oldValue % Self.readConnections)]
        case .write: writer
        case .replication: replicator
        case .bulk: bulk
        }
    }
}

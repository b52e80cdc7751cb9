package import DataModel
package import NIOCore
import NIOPosix

/// Puts what protects a connection in front of the frames. `PlainTCP` puts nothing; mutual TLS is another conformance.
package protocol ChannelSecurity: Sendable {
    /// Called on the channel's event loop, before any other handler is added.
    func secureClient(_ channel: any Channel, peer: NodeID) throws
    /// Called on the channel's event loop, before any other handler is added.
    func secureServer(_ channel: any Channel) throws
}

/// No protection: for networks that only the cluster's nodes reach.
package struct PlainTCP: ChannelSecurity {
    package init() {}
    package func secureClient(_ channel: any Channel, peer: NodeID) {}
    package func secureServer(_ channel: any Channel) {}
}

/// Reads as large as bulk needs: a snapshot chunk comes in few pieces, and a small frame takes little memory.
let receiveAllocator = AdaptiveRecvByteBufferAllocator(minimum: 4 << 10, initial: 16 << 10, maximum: 1 << 20)

extension Error {
    /// One line for a log or a `ShardError`: what the system said, without the names of NIO's types.
    var networkReason: String {
        switch self {
        case let error as NIOConnectionError:
            (error.connectionErrors.first?.error ?? error.dnsAError ?? error.dnsAAAAError)?.networkReason
                ?? "no address found"
        case let error as ChannelError:
            if case .connectTimeout(let timeout) = error {
                "no connection in \(timeout.nanoseconds / 1_000_000) ms"
            } else {
                "\(error)"
            }
        case let error as IOError: error.description
        case let error as FrameError: error.description
        default: "\(self)"
        }
    }
}

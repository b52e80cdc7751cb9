package import DataModel
import NIOCore

/// The version of the protocol that this build speaks. Raised with each change of a frame or a body.
package let protocolVersion: UInt16 = 4

/// The first frame on a connection. Its layout never changes: it is how two versions find out that they differ.
package struct Hello: Sendable, Equatable, BinaryCodable {
    /// "SHOL": tells a node from whatever else may connect to the port.
    package static let magic: UInt32 = 0x4C4F_4853

    package var version: UInt16 = protocolVersion
    package var client: NodeIdentity
    /// The node that the client takes the server for.
    package var expectedNode: NodeID

    package init(version: UInt16 = protocolVersion, client: NodeIdentity, expectedNode: NodeID) {
        self.version = version
        self.client = client
        self.expectedNode = expectedNode
    }

    package func encode(to writer: inout BinaryWriter) {
        writer.write(Self.magic)
        writer.write(version)
        writer.write(client.cluster)
        writer.write(client.node.rawValue)
        writer.write(expectedNode.rawValue)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        let magic = try reader.readInteger(as: UInt32.self)
        guard magic == Self.magic else { throw BinaryFormatError(description: "the greeting is not one of a node") }
        version = try reader.readInteger()
        client = NodeIdentity(cluster: try reader.readString(), node: NodeID(try reader.readInteger()))
        expectedNode = NodeID(try reader.readInteger())
    }

    /// Why a server must not talk with who sent this; nil when all is well.
    package func refusal(from server: NodeIdentity) -> Refusal? {
        if version != protocolVersion {
            Refusal(reason: "it speaks protocol version \(protocolVersion), not \(version)")
        } else if client.cluster != server.cluster {
            Refusal(reason: "it belongs to cluster \(server.cluster), not \(client.cluster)")
        } else if expectedNode != server.node {
            Refusal(reason: "it is node \(server.node), not \(expectedNode)")
        } else {
            nil
        }
    }
}

/// The server's answer to a `Hello` that it accepts.
package struct Welcome: Sendable, Equatable, BinaryCodable {
    package var server: NodeIdentity

    package init(server: NodeIdentity) { self.server = server }

    package func encode(to writer: inout BinaryWriter) {
        writer.write(server.cluster)
        writer.write(server.node.rawValue)
    }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        server = NodeIdentity(cluster: try reader.readString(), node: NodeID(try reader.readInteger()))
    }
}

/// The server's answer to a `Hello` that it does not accept.
package struct Refusal: Sendable, Equatable, BinaryCodable {
    /// Continues "the node refuses the connection: ".
    package var reason: String

    package init(reason: String) { self.reason = reason }

    package func encode(to writer: inout BinaryWriter) { writer.write(reason) }

    package init(from reader: inout BinaryReader) throws(BinaryFormatError) { reason = try reader.readString() }
}

extension BinaryCodable {
    /// Decodes all that is readable in `buffer`.
    init(decoding buffer: ByteBuffer) throws(BinaryFormatError) {
        self = try buffer.withUnsafeReadableBytes { (bytes) throws(BinaryFormatError) in try Self(decoding: bytes) }
    }
}

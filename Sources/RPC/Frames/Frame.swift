import CXXHash
package import NIOCore

/// A frame: what travels on a connection between nodes. All integers are little-endian.
///
/// ```
/// offset  bytes
///      0      4  length: bytes that follow the checksum
///      4      8  checksum: XXH3 (64 bits) of the bytes that follow it
///     12      1  kind
///     13      1  method, of a request; else 0
///     14      2  reserved, 0
///     16      4  remaining microseconds until the deadline, of a request; else 0
///     20      8  request id
///     28      -  body
/// ```
package struct Frame: Sendable, Equatable {
    package enum Kind: UInt8, Sendable {
        /// Opens a connection: `Hello`.
        case hello = 1
        /// Accepts it: `Welcome`.
        case welcome = 2
        /// Declines it: `Refusal`. The server closes the connection.
        case refusal = 3
        /// A method, the shard that it is for, and its arguments.
        case request = 4
        /// The result of the request with the same id.
        case response = 5
        /// The `ShardError` of the request with the same id.
        case failure = 6
        /// Nobody waits for the request with the same id any more.
        case cancel = 7
        /// Asks for a `pong` with the same id.
        case ping = 8
        case pong = 9
    }

    package static let prefixBytes = 12
    package static let headerBytes = 16
    /// What a frame adds to its body.
    package static let overheadBytes = prefixBytes + headerBytes

    package var kind: Kind
    package var method: UInt8
    package var remainingMicroseconds: UInt32
    package var id: UInt64
    package var body: ByteBuffer

    package init(
        kind: Kind, method: UInt8 = 0, remainingMicroseconds: UInt32 = 0, id: UInt64 = 0,
        body: ByteBuffer = ByteBuffer()
    ) {
        self.kind = kind
        self.method = method
        self.remainingMicroseconds = remainingMicroseconds
        self.id = id
        self.body = body
    }

    /// Whether a body of this many bytes fits into a frame.
    package static func fits(bodyBytes: Int) -> Bool { overheadBytes + bodyBytes <= RPCLimits.frameBytes }
}

/// The bytes are no frame. The connection that they came on cannot be used any more.
package enum FrameError: Error, Sendable, Equatable {
    case tooLong(bytes: Int, limit: Int)
    case tooShort(bytes: Int)
    case checksumMismatch
    case unknownKind(UInt8)
}

extension FrameError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLong(let bytes, let limit): "a frame of \(bytes) bytes, where \(limit) are allowed"
        case .tooShort(let bytes): "a frame of \(bytes) bytes, which is shorter than its header"
        case .checksumMismatch: "a frame whose checksum does not match"
        case .unknownKind(let kind): "a frame of unknown kind \(kind)"
        }
    }
}

// MARK: - Bytes

extension Frame {
    /// The frame as bytes.
    ///
    /// - Precondition: `fits(bodyBytes:)` holds for the body.
    package func encoded() -> ByteBuffer {
        body.withUnsafeReadableBytes { Self.encode(self, body: $0) }
    }

    /// The frame as bytes, with `bytes` in place of its body: spares a buffer for a body that was just encoded.
    package func encoded(body bytes: [UInt8]) -> ByteBuffer {
        bytes.withUnsafeBytes { Self.encode(self, body: $0) }
    }

    private static func encode(_ frame: Frame, body: UnsafeRawBufferPointer) -> ByteBuffer {
        precondition(fits(bodyBytes: body.count), "the body is longer than a frame may be")
        let content = headerBytes + body.count
        var buffer = ByteBufferAllocator().buffer(capacity: prefixBytes + content)
        buffer.writeInteger(UInt32(content), endianness: .little)
        buffer.writeInteger(UInt64(0))
        buffer.writeInteger(frame.kind.rawValue)
        buffer.writeInteger(frame.method)
        buffer.writeInteger(UInt16(0))
        buffer.writeInteger(frame.remainingMicroseconds, endianness: .little)
        buffer.writeInteger(frame.id, endianness: .little)
        buffer.writeBytes(body)
        buffer.setInteger(checksum(of: buffer), at: buffer.readerIndex + 4, endianness: .little)
        return buffer
    }

    /// Reads the whole frame that starts at the reader index; the body shares the buffer's memory.
    ///
    /// - Precondition: `buffer` holds the `prefixBytes` and as many bytes as they announce, at least `headerBytes`.
    package init(wholeFrame buffer: ByteBuffer) throws(FrameError) {
        let start = buffer.readerIndex
        let expected = buffer.getInteger(at: start + 4, endianness: .little, as: UInt64.self)
        guard expected == Self.checksum(of: buffer) else { throw .checksumMismatch }
        var content = buffer
        content.moveReaderIndex(forwardBy: Self.prefixBytes)
        guard let rawKind = content.readInteger(as: UInt8.self), let method = content.readInteger(as: UInt8.self),
            content.readInteger(as: UInt16.self) != nil,
            let remaining = content.readInteger(endianness: .little, as: UInt32.self),
            let id = content.readInteger(endianness: .little, as: UInt64.self)
        else { throw .tooShort(bytes: buffer.readableBytes - Self.prefixBytes) }
        guard let kind = Kind(rawValue: rawKind) else { throw .unknownKind(rawKind) }
        self.init(kind: kind, method: method, remainingMicroseconds: remaining, id: id, body: content)
    }

    /// XXH3 of what follows the prefix.
    private static func checksum(of frame: ByteBuffer) -> UInt64 {
        frame.withUnsafeReadableBytes { bytes in
            shoal_xxh3(bytes.baseAddress.map { $0 + prefixBytes }, bytes.count - prefixBytes)
        }
    }
}

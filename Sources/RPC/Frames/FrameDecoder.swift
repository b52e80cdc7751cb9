package import NIOCore

/// Cuts the bytes of a connection into frames.
///
/// Frames share the memory of the buffers they came in. So a buffer that frames were cut from is never written to
/// again: what is left in it moves to a new one, sized for the whole frame when its length is known.
package struct FrameDecoder: Sendable {
    /// Longer frames are refused as soon as their length is known, before memory is set aside for them.
    package var limitBytes: Int

    private var buffer = ByteBuffer()
    /// Whether `buffer` was made here and nothing else refers to its memory.
    private var ownsBuffer = false

    package init(limitBytes: Int) { self.limitBytes = limitBytes }

    package mutating func append(_ bytes: ByteBuffer) {
        guard buffer.readableBytes > 0 else {
            buffer = bytes
            ownsBuffer = false
            return
        }
        if !ownsBuffer {
            let whole = frameBytes.map { min($0, limitBytes) } ?? 0
            var moved = ByteBufferAllocator().buffer(capacity: max(whole, buffer.readableBytes + bytes.readableBytes))
            moved.writeImmutableBuffer(buffer)
            buffer = moved
            ownsBuffer = true
        }
        buffer.writeImmutableBuffer(bytes)
    }

    /// The next whole frame; nil until more bytes come. After an error the stream has no frames any more.
    package mutating func next() throws(FrameError) -> Frame? {
        guard let whole = frameBytes else { return nil }
        guard whole <= limitBytes else { throw .tooLong(bytes: whole, limit: limitBytes) }
        guard whole >= Frame.overheadBytes else { throw .tooShort(bytes: whole) }
        guard let slice = buffer.readSlice(length: whole) else { return nil }
        ownsBuffer = false
        return try Frame(wholeFrame: slice)
    }

    /// Bytes of the frame at the front, prefix included; nil while its length has not come.
    private var frameBytes: Int? {
        buffer.getInteger(at: buffer.readerIndex, endianness: .little, as: UInt32.self)
            .map { Frame.prefixBytes + Int($0) }
    }
}

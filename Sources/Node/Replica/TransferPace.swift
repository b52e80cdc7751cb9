/// Keeps a transfer to the bytes that it may send in a second.
package struct TransferPace: Sendable {
    /// So few that a second has several of them; each costs a message.
    private static let chunksPerSecond: UInt64 = 8
    private static let smallestChunk: UInt64 = 1 << 10

    /// Nil: as fast as it goes.
    package let bytesPerSecond: UInt64?
    private var sent: UInt64 = 0

    package init(bytesPerSecond: UInt64?) { self.bytesPerSecond = bytesPerSecond }

    /// Bytes of the next chunk.
    package func chunkBytes(atMost limit: Int) -> Int {
        guard let bytesPerSecond else { return limit }
        return Int(min(UInt64(limit), max(Self.smallestChunk, bytesPerSecond / Self.chunksPerSecond)))
    }

    /// How long to wait after a chunk, so that all that was sent took its time.
    ///
    /// - Parameter elapsed: since the transfer began.
    package mutating func pause(after bytes: Int, elapsed: Duration) -> Duration {
        sent += UInt64(bytes)
        guard let bytesPerSecond else { return .zero }
        return max(.zero, .seconds(Double(sent) / Double(max(bytesPerSecond, 1))) - elapsed)
    }
}

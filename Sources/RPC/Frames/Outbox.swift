import NIOCore

/// Frames on their way to the event loop. However many come before it wakes up, they are written with one flush.
struct Outbox: Sendable {
    private var frames: [(id: UInt64?, bytes: ByteBuffer)] = []
    /// Whether a drain was asked for that has not happened yet.
    private var isDrainPending = false

    var isEmpty: Bool { frames.isEmpty }

    /// Adds a frame. `id` is that of a request which may be withdrawn before it is sent; nil for all others.
    mutating func append(_ bytes: ByteBuffer, id: UInt64? = nil) { frames.append((id, bytes)) }

    /// Whether the caller has to ask the event loop for a drain: true once for all the frames that wait.
    mutating func needsDrain() -> Bool {
        defer { isDrainPending = true }
        return !isDrainPending
    }

    /// The frames to write now, in the order they came, with the ids of those that may have been withdrawn.
    mutating func drain() -> [(id: UInt64?, bytes: ByteBuffer)] {
        isDrainPending = false
        defer { frames = [] }
        return frames
    }

    mutating func removeAll() {
        frames = []
        isDrainPending = false
    }
}

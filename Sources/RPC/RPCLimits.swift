/// The bounds of the protocol between nodes, each with its reason.
package enum RPCLimits {
    /// Bytes of a frame. The largest write is a JSON body of 32 MiB, whose vectors take at most twice that in binary
    /// (`0,` is two bytes of JSON and four of float32); the rest is headroom for ids, names and the frame itself.
    package static let frameBytes = 72 << 20
    /// Bytes of a frame before the handshake: until then the other side may be anybody, and gets no memory.
    static let handshakeFrameBytes = 4 << 10

    /// A handshake is one round trip: whoever needs longer is stopped, overloaded or no peer.
    static let handshakeTimeout = Duration.seconds(1)
    /// Long enough for a lost SYN to be sent again on a good network; a dead host is noticed after this.
    static let connectTimeout = Duration.seconds(1)
    /// The server lets a new connection this long say hello: more than `handshakeTimeout`, so that the client, which
    /// knows why it waits, is the one that gives up.
    static let helloTimeout = Duration.seconds(5)

    /// Pause before the second retry in a row (the first is at once), doubled up to `longestBackOff`.
    static let shortestBackOff = Duration.milliseconds(50)
    /// A node that is back is found within this.
    static let longestBackOff = Duration.milliseconds(500)

    /// With requests pending and nothing heard for this long, the client pings.
    static let silenceBeforePing = Duration.seconds(2)
    /// With requests pending and nothing heard for this long, the connection is given up: TCP alone would notice a
    /// host that vanished only after many minutes.
    static let silenceBeforeClose = Duration.seconds(6)

    /// Requests that one connection of a client may have pending, and the bytes of their bodies: a peer that hangs
    /// must not fill the memory of those that wait for it.
    package static let pendingRequests = 4_096
    static let pendingBytes = 256 << 20
    /// Requests of one connection that a server works on, and the bytes of their bodies. Past it the server reads no
    /// more from that connection. Larger than the client's bounds: a client of ours never comes here.
    package static let inFlightRequests = 8_192
    package static let inFlightBytes = 512 << 20

    /// Bytes that wait in a server's connection to be taken by the client; past it the server reads no more requests.
    static let unsentBytes = 64 << 20
}

import NIOCore

/// Turns the bytes of one socket into frames for its `PeerConnection`, and tells it when the socket is connected and
/// closed. Lives on the connection's event loop.
final class PeerChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: PeerConnection
    private let attempt: UInt64
    private var decoder = FrameDecoder(limitBytes: RPCLimits.frameBytes)
    private var closeReason = "the connection broke"

    init(connection: PeerConnection, attempt: UInt64) {
        self.connection = connection
        self.attempt = attempt
    }

    func channelActive(context: ChannelHandlerContext) {
        connection.connected(attempt: attempt, channel: context.channel)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.append(unwrapInboundIn(data))
        do throws(FrameError) {
            while let frame = try decoder.next() {
                if let reason = connection.received(frame, attempt: attempt, channel: context.channel) {
                    return close(context, reason: reason)
                }
            }
        } catch {
            close(context, reason: "it sent \(error)")
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(context, reason: error.networkReason)
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.closed(attempt: attempt, reason: closeReason)
        context.fireChannelInactive()
    }

    private func close(_ context: ChannelHandlerContext, reason: String) {
        closeReason = reason
        connection.closed(attempt: attempt, reason: reason)
        context.close(promise: nil)
    }
}

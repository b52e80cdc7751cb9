import NIOCore

/// Turns the bytes of one socket into frames for its `ServerConnection`, and holds reads back while the connection has
/// no room. Lives on the connection's event loop.
final class ServerChannelHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let connection: ServerConnection
    private var decoder = FrameDecoder(limitBytes: RPCLimits.handshakeFrameBytes)
    private var isClosing = false

    init(connection: ServerConnection) { self.connection = connection }

    func channelActive(context: ChannelHandlerContext) {
        connection.opened()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // What comes after a frame that ended the connection means nothing.
        guard !isClosing else { return }
        decoder.append(unwrapInboundIn(data))
        do throws(FrameError) {
            while !isClosing, let frame = try decoder.next() {
                switch connection.received(frame) {
                case .goOn: break
                case .handshakeDone: decoder.limitBytes = RPCLimits.frameBytes
                case .closing: isClosing = true
                }
            }
        } catch {
            isClosing = true
            connection.violated(reason: "it sent \(error)")
        }
    }

    func read(context: ChannelHandlerContext) {
        if connection.mayRead() { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        connection.writabilityChanged(to: context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        isClosing = true
        connection.broke(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.closed()
        context.fireChannelInactive()
    }
}

import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Closes a connection whose request was answered before its body came to an end, and lets clients that ask first
/// (`Expect: 100-continue`) go on.
///
/// A response that says `connection: close` is written; then what still comes in is dropped, for a short while, because
/// closing at once would reset the connection and take the response away from a client that is still sending.
final class EarlyResponseHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// How long a client may take to notice the response.
    static let lingering = TimeAmount.seconds(2)

    private enum State {
        case open
        /// The response's head said that the connection ends with it.
        case closing
        /// The response is written; incoming parts are dropped.
        case lingering
    }

    private var state = State.open
    /// Whether the request was read to its end.
    private var isRequestComplete = true

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        switch part {
        case .head(let head):
            isRequestComplete = false
            if head.headerFields[.expect]?.lowercased() == "100-continue", isAcceptable(head) {
                context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
        case .end: isRequestComplete = true
        case .body: break
        }
        guard case .lingering = state else { return context.fireChannelRead(data) }
        if isRequestComplete { context.close(promise: nil) }
    }

    private func isAcceptable(_ head: HTTPRequest) -> Bool {
        // A snapshot goes to disk as it comes, and may be of any size.
        if head.path?.split(separator: "?").first?.hasSuffix("/snapshots/upload") == true { return true }
        guard let length = head.headerFields[.contentLength].flatMap({ Int($0) }) else { return true }
        return length <= RequestBodies.maximumBytes
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            if head.headerFields[.connection] == "close" { state = .closing }
            context.write(data, promise: promise)
        case .end where isClosing:
            state = .lingering
            context.writeAndFlush(data, promise: promise)
            if isRequestComplete {
                context.close(promise: nil)
            } else {
                let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
                context.eventLoop.scheduleTask(in: Self.lingering) { bound.value.close(promise: nil) }
            }
        default: context.write(data, promise: promise)
        }
    }

    private var isClosing: Bool {
        if case .closing = state { true } else { false }
    }
}

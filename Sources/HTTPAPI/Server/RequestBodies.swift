import CSimdJSON
import DataModel
import HTTPTypes
import Hummingbird
import NIOCore
import NIOPosix

/// Reads and parses the bodies of requests.
struct RequestBodies: Sendable {
    static let maximumBytes = Limits.bodyBytes
    /// Bodies above this are parsed on a thread of their own: at about 0.5 GB/s a smaller one takes less than half a
    /// millisecond, which the threads of the concurrency pool can spare.
    static let largestInlineBytes = 256 << 10

    let parsers: JSONParserPool
    let threads: NIOThreadPool

    /// Reads the JSON body of `request` with `read`.
    ///
    /// - Throws: `APIError` for a body that is too large or not said to be JSON, `DialectError` for a wrong one.
    func json<R: Sendable>(
        of request: Request, _ read: @escaping @Sendable (JSONElement) throws(DialectError) -> R
    ) async throws -> R {
        let body = try await collected(request)
        let parsers = parsers
        let parse = { @Sendable () throws(DialectError) -> R in
            // `withUnsafeReadableBytes` does not know typed throws.
            try body.withUnsafeReadableBytes { bytes in
                Result { () throws(DialectError) in try parsers.withDocument(bytes, read) }
            }.get()
        }
        if body.readableBytes <= Self.largestInlineBytes { return try parse() }
        return try await threads.runIfActive { try parse() }
    }

    private func collected(_ request: Request) async throws -> ByteBuffer {
        try checkType(of: request)
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > Self.maximumBytes {
            throw APIError.bodyTooLarge
        }
        do {
            return try await request.body.collect(upTo: Self.maximumBytes)
        } catch is NIOTooManyBytesError {
            throw APIError.bodyTooLarge
        } catch {
            // The client's framing is broken, or it went away in the middle.
            throw APIError.bodyBroken
        }
    }

    /// Refuses bodies that are said to be something else: a web page can send those to any server unasked.
    private func checkType(of request: Request) throws {
        guard let type = request.headers[.contentType] else { return }
        let name = type.prefix { $0 != ";" && $0 != " " }.lowercased()
        guard name == "application/json" || name.hasSuffix("+json") else {
            throw APIError(
                .unsupportedMediaType, "the content type is not application/json but \(quoted(name))",
                closesConnection: true)
        }
    }
}

import CSimdJSON
import Coordinator
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

    /// What a body of unknown length gets at a time.
    private static let chunkedStep = 256 << 10

    let parsers: JSONParserPool
    let threads: NIOThreadPool

    /// Reads the JSON body of `request` with `read`.
    ///
    /// - Throws: `APIError` for a body that is too large or not said to be JSON, `DialectError` for a wrong one.
    func json<R: Sendable>(
        of request: Request, _ read: @escaping @Sendable (JSONElement) throws(DialectError) -> R
    ) async throws -> R {
        let memory = RequestMemory.current
        let body = try await collected(request, memory)
        try await memory?.parse(body.readableBytes, deadline: .after(MemoryBudget.patience))
        defer { memory?.parsed(body.readableBytes) }
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

    private func collected(_ request: Request, _ memory: RequestMemory?) async throws -> ByteBuffer {
        try checkType(of: request)
        let limit = min(Self.maximumBytes, memory?.largestBody ?? .max)
        let length = request.headers[.contentLength].flatMap { Int($0) }
        if let length, length > limit { throw APIError(bodyAbove: limit) }
        do {
            try await memory?.arrive(length ?? Self.chunkedStep, deadline: .after(MemoryBudget.patience))
            if length != nil { return try await request.body.collect(upTo: limit) }
            return try await collectedUnannounced(request, limit: limit, memory)
        } catch is NIOTooManyBytesError {
            throw APIError(bodyAbove: limit)
        } catch let error as DatabaseError {
            // The body was not read to its end.
            var refusal = APIError(error)
            refusal.closesConnection = true
            throw refusal
        } catch {
            // The client's framing is broken, or it went away in the middle.
            throw APIError.bodyBroken
        }
    }

    /// Reads a body of which nobody said how long it is, taking memory for it step by step.
    private func collectedUnannounced(
        _ request: Request, limit: Int, _ memory: RequestMemory?
    ) async throws -> ByteBuffer {
        var body = ByteBuffer()
        var allowed = Self.chunkedStep
        for try await var part in request.body {
            guard body.readableBytes + part.readableBytes <= limit else { throw NIOTooManyBytesError(maxBytes: limit) }
            while body.readableBytes + part.readableBytes > allowed {
                try await memory?.arrive(Self.chunkedStep, deadline: .after(MemoryBudget.patience))
                allowed += Self.chunkedStep
            }
            body.writeBuffer(&part)
        }
        return body
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

import AsyncHTTPClient
import Coordinator
import DataModel
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// Fetches a snapshot over HTTP, such as from a node of another cluster, to the disk as it comes.
struct SnapshotDownload {
    let url: String
    /// Sent as the header `api-key`.
    let apiKey: String?

    private static let connectTimeout = TimeAmount.seconds(5)
    /// Without a byte for this long the server counts as gone.
    private static let silence = TimeAmount.seconds(30)
    /// The file is written in pieces of this size.
    private static let pieceBytes = 1 << 20

    /// - Throws: `invalid`, naming `location`, when there is no such snapshot, or its server fails.
    func run(into file: DigestedFile, deadline: Deadline) async throws(DatabaseError) {
        var configuration = HTTPClient.Configuration()
        configuration.timeout = .init(connect: Self.connectTimeout, read: Self.silence)
        // The key is for the server that was named.
        configuration.redirectConfiguration = .disallow
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let failure: DatabaseError?
        do throws(DatabaseError) {
            try await fetch(client, into: file, deadline: deadline)
            failure = nil
        } catch {
            failure = error
        }
        try? await client.shutdown()
        if let failure { throw failure }
    }

    private func fetch(_ client: HTTPClient, into file: DigestedFile, deadline: Deadline) async throws(DatabaseError) {
        var request = HTTPClientRequest(url: url)
        if let apiKey { request.headers.add(name: "api-key", value: apiKey) }
        var body: HTTPClientResponse.Body.AsyncIterator
        do {
            let remaining = deadline.remaining.components
            let response = try await client.execute(request, deadline: .now() + .seconds(max(1, remaining.seconds)))
            guard response.status == .ok else {
                throw DatabaseError.invalid(reason: "location: \(url) answered \(response.status.code)")
            }
            body = response.body.makeAsyncIterator()
        } catch {
            throw unreadable(error)
        }
        var pending: [UInt8] = []
        while let more = try await next(&body) {
            pending.append(contentsOf: more.readableBytesView)
            if pending.count >= Self.pieceBytes {
                try await append(pending, to: file)
                pending.removeAll(keepingCapacity: true)
            }
        }
        try await append(pending, to: file)
    }

    private func next(_ body: inout HTTPClientResponse.Body.AsyncIterator) async throws(DatabaseError) -> ByteBuffer? {
        do { return try await body.next() } catch { throw unreadable(error) }
    }

    private func append(_ bytes: [UInt8], to file: DigestedFile) async throws(DatabaseError) {
        try await storingAsync { () throws(FileError) in try await file.append(bytes) }
    }

    private func unreadable(_ error: any Error) -> DatabaseError {
        error as? DatabaseError ?? .invalid(reason: "location: \(url) cannot be read: \(error)")
    }
}

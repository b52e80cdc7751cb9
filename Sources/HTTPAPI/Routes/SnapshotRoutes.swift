import Coordinator
import DataModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// `/collections/{collection}/snapshots` and `/collections/{collection}/shards/{shard}/snapshots`.
struct SnapshotRoutes: Sendable {
    let api: API

    /// Copying a large collection takes as long as the disks and the network do.
    private static let standardTimeout = Duration.seconds(API.timeoutSeconds.upperBound)
    /// Contents are written to disk in pieces of at least this size.
    private static let pieceBytes = 1 << 20

    func add(to table: RouteTable) {
        for scope in ["/collections/{collection}", "/collections/{collection}/shards/{shard}"] {
            table.add("\(scope)/snapshots", [.get: list, .post: create])
            table.add("\(scope)/snapshots/{snapshot}", [.get: download, .delete: delete])
        }
        // The same paths as `{snapshot}`, which no snapshot can have: their names end in `.snapshot`.
        table.add("/collections/{collection}/snapshots/recover", [.put: recover])
        table.add("/collections/{collection}/snapshots/upload", [.post: upload])
        table.add("/collections/{collection}/shards/{shard}/snapshots/recover", [.put: refuseShard])
        table.add("/collections/{collection}/shards/{shard}/snapshots/upload", [.post: refuseShard])
    }

    // MARK: - Taking and keeping

    @Sendable private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let scope = try scope(context)
        let deadline = try api.deadline(request, standard: Self.standardTimeout)
        guard try waits(request) else {
            _ = try await api.snapshots.list(scope)
            return accept(context) { _ = try await api.snapshots.create(of: scope, deadline: deadline) }
        }
        let snapshot = try await api.snapshots.create(of: scope, deadline: deadline)
        return Envelope.ok(context) { $0.snapshot(snapshot) }
    }

    @Sendable private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let snapshots = try await api.snapshots.list(try scope(context))
        return Envelope.ok(context) { $0.array(snapshots) { $0.snapshot($1) } }
    }

    @Sendable private func download(_ request: Request, _ context: APIContext) async throws -> Response {
        let snapshot = try await api.snapshots.snapshot(try name(context), of: try scope(context))
        let body = try await FileIO().loadFile(path: snapshot.path, context: context, chunkLength: Self.pieceBytes)
        var headers: HTTPFields = [.contentType: "application/octet-stream"]
        if let checksum = snapshot.checksum { headers[.eTag] = "\"\(checksum)\"" }
        return Response(status: .ok, headers: headers, body: body)
    }

    @Sendable private func delete(_ request: Request, _ context: APIContext) async throws -> Response {
        // The file is gone from the list at once either way: there is nothing to wait for.
        _ = try waits(request)
        try await api.snapshots.delete(try name(context), of: try scope(context))
        return Envelope.ok(context) { $0.bool(true) }
    }

    // MARK: - Recovering

    @Sendable private func recover(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let deadline = try api.deadline(request, standard: Self.standardTimeout)
        let wanted = try await api.bodies.json(of: request) { (root) throws(DialectError) in
            try root.snapshotRecovery()
        }
        return try await answer(request, context) {
            try await api.snapshots.recover(
                collection, from: wanted.location, options: wanted.options, deadline: deadline)
        }
    }

    @Sendable private func upload(_ request: Request, _ context: APIContext) async throws -> Response {
        let collection = try api.collectionName(context)
        let deadline = try api.deadline(request, standard: Self.standardTimeout)
        let parameters = request.uri.queryParameters
        let options = RecoveryOptions(
            priority: try parameters["priority"].map { try SnapshotPriority(dialect: String($0)) },
            checksum: try parameters["checksum"].map { try checkedSHA256(String($0)) })
        _ = try waits(request)
        let received = try await receive(request)
        return try await answer(request, context) {
            try await api.snapshots.recover(collection, from: received, options: options, deadline: deadline)
        }
    }

    /// Writes the form's file to this node's disk as it comes; the client waits while the disk is behind.
    private func receive(_ request: Request) async throws -> any SnapshotUpload {
        let type = request.headers[.contentType] ?? ""
        guard var reader = MultipartReader(contentType: type, name: "snapshot") else {
            throw APIError(
                .unsupportedMediaType,
                "a multipart/form-data body with a part `snapshot` is expected, not \(quoted(type))",
                closesConnection: true)
        }
        let upload = try await api.snapshots.beginUpload()
        do {
            var pending: [UInt8] = []
            for try await piece in request.body {
                pending += try reader.feed(piece.readableBytesView)
                guard pending.count >= Self.pieceBytes else { continue }
                try await upload.write(pending)
                pending.removeAll(keepingCapacity: true)
            }
            try await upload.write(pending)
            guard reader.foundPart else { throw DialectError("snapshot", "the form has no part of that name") }
            guard reader.isComplete else { throw APIError.bodyBroken }
            return upload
        } catch {
            await upload.abandon()
            switch error {
            case MultipartReader.Failure.malformed(let reason):
                throw APIError(.badRequest, "Wrong input: the form is malformed: \(reason)", closesConnection: true)
            case var error as APIError:
                error.closesConnection = true
                throw error
            case let error as DatabaseError:
                var failure = APIError(error)
                failure.closesConnection = true
                throw failure
            case let error as DialectError: throw error
            default: throw APIError.bodyBroken
            }
        }
    }

    @Sendable private func refuseShard(_ request: Request, _ context: APIContext) async throws -> Response {
        throw APIError(
            .badRequest,
            "Wrong input: recovering a single shard: not supported: recover the collection from a snapshot of it",
            closesConnection: true)
    }

    // MARK: - Answers

    private func answer(
        _ request: Request, _ context: APIContext, _ work: @escaping @Sendable () async throws -> Void
    ) async throws -> Response {
        guard try waits(request) else { return accept(context, work) }
        try await work()
        return Envelope.ok(context) { $0.bool(true) }
    }

    /// The work goes on behind the answer; what it fails with is in the log.
    private func accept(_ context: APIContext, _ work: @escaping @Sendable () async throws -> Void) -> Response {
        let logger = context.logger
        Task {
            do {
                try await work()
            } catch {
                logger.warning("a request that was accepted failed", metadata: ["error": "\(error)"])
            }
        }
        var writer = JSONWriter()
        writer.raw("{\"status\":\"accepted\",\"time\":")
        writer.double(context.elapsedSeconds)
        writer.raw("}")
        return Envelope.response(.accepted, writer)
    }

    // MARK: - Requests

    private func scope(_ context: APIContext) throws -> SnapshotScope {
        var scope = SnapshotScope(collection: try api.collectionName(context))
        if context.parameters.get("shard") != nil {
            let text = try api.pathParameter("shard", context)
            guard let number = UInt32(text) else {
                throw DialectError("shard", "\(quoted(text)) is not a shard's number")
            }
            scope.shard = ShardNumber(number)
        }
        return scope
    }

    private func name(_ context: APIContext) throws -> String {
        let name = try api.pathParameter("snapshot", context)
        let isSafe =
            !name.isEmpty && name != "." && name != ".." && !name.contains { $0 == "/" || $0 == "\\" || $0 == "\0" }
        guard isSafe else { throw DialectError("snapshot name", "\(quoted(name)) is not the name of a file") }
        return name
    }

    private func waits(_ request: Request) throws -> Bool {
        guard let text = request.uri.queryParameters["wait"], !text.isEmpty else { return true }
        guard let wait = Bool(String(text)) else {
            throw DialectError("wait", "\(quoted(text)) is not true or false")
        }
        return wait
    }
}

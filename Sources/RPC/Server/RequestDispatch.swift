import DataModel
import NIOCore

/// Decodes a request's body, calls the replica that it is for, and encodes the answer.
struct RequestDispatch: Sendable {
    let replicas: any ReplicaHost

    /// - Returns: the body of the response.
    func perform(method rawMethod: UInt8, body: ByteBuffer, deadline: Deadline) async throws(ShardError) -> [UInt8] {
        guard let method = Method(rawValue: rawMethod) else {
            throw .invalid(reason: "the node knows no method \(rawMethod)")
        }
        // It may have waited for a thread for long, and who asked may not wait any more.
        guard !deadline.isPast, !Task.isCancelled else { throw .deadlineExceeded }
        let answer =
            switch method {
            case .search: try await search(body, deadline)
            case .retrieve: try await retrieve(body, deadline)
            case .scroll: try await scroll(body, deadline)
            case .count: try await count(body, deadline)
            case .write: try await write(body, deadline)
            case .status: try await status(body, deadline)
            case .maintain: try await maintain(body, deadline)
            case .takeSnapshot: try await takeSnapshot(body, deadline)
            case .readSnapshot: try await readSnapshot(body, deadline)
            case .dropSnapshot: try await dropSnapshot(body, deadline)
            case .openReplica: try await openReplica(body, deadline)
            case .replicate: try await replicate(body, deadline)
            case .beginSnapshot: try await beginSnapshot(body, deadline)
            case .receiveSnapshot: try await receiveSnapshot(body, deadline)
            case .finishSnapshot: try await finishSnapshot(body, deadline)
            case .digest: try await digest(body, deadline)
            case .fill: try await fill(body, deadline)
            case .links: try await links(body, deadline)
            }
        guard Frame.fits(bodyBytes: answer.count) else {
            throw .invalid(reason: "an answer of \(answer.count) bytes is more than nodes send each other")
        }
        return answer
    }

    private struct Decoded<Arguments> {
        var shard: ShardID
        var context: RequestContext
        var arguments: Arguments
    }

    private func decode<Arguments>(
        _ body: ByteBuffer, _ deadline: Deadline,
        _ arguments: (inout BinaryReader) throws(BinaryFormatError) -> Arguments
    ) throws(ShardError) -> Decoded<Arguments> {
        do throws(BinaryFormatError) {
            return try body.withUnsafeReadableBytes { (bytes) throws(BinaryFormatError) in
                var reader = BinaryReader(bytes)
                let head = try RequestHead(from: &reader)
                let context = RequestContext(
                    epoch: head.epoch, deadline: deadline, isStaleAllowed: head.isStaleAllowed)
                let decoded = Decoded(shard: head.shard, context: context, arguments: try arguments(&reader))
                guard reader.remaining == 0 else {
                    throw BinaryFormatError(description: "\(reader.remaining) bytes too many")
                }
                return decoded
            }
        } catch {
            throw .invalid(reason: "a peer sent a malformed request: \(error)")
        }
    }
}

private func nothing(_ reader: inout BinaryReader) throws(BinaryFormatError) {}

// MARK: - ShardService

extension RequestDispatch {
    private func search(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try reader.readArray { (reader) throws(BinaryFormatError) in try SearchRequest(from: &reader) }
        }
        let results = try await replicas.shard(request.shard).search(request.arguments, context: request.context)
        let capacity = results.reduce(8) { $0 + $1.points.reduce(9) { $0 + $1.record.estimatedBytes + 4 } }
        var writer = BinaryWriter(capacity: capacity)
        writer.write(results) { $1.encode(to: &$0) }
        return writer.bytes
    }

    private func retrieve(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try RetrieveRequest(from: &reader)
        }
        return encode(try await replicas.shard(request.shard).retrieve(request.arguments, context: request.context))
    }

    private func scroll(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try ScrollRequest(from: &reader)
        }
        return encode(try await replicas.shard(request.shard).scroll(request.arguments, context: request.context))
    }

    private func count(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try reader.readOptional { (reader) throws(BinaryFormatError) in try Filter(from: &reader) }
        }
        let count = try await replicas.shard(request.shard).count(request.arguments, context: request.context)
        var writer = BinaryWriter(capacity: 8)
        writer.write(count)
        return writer.bytes
    }

    private func write(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try WriteRequest(from: &reader)
        }
        let receipt = try await replicas.shard(request.shard).write(request.arguments, context: request.context)
        var writer = BinaryWriter(capacity: 8)
        writer.write(receipt.sequence.rawValue)
        return writer.bytes
    }

    private func status(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline, nothing)
        return try await replicas.shard(request.shard).status(deadline: deadline).encoded()
    }

    private func maintain(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try MaintenanceTask(from: &reader)
        }
        return try await replicas.shard(request.shard).maintain(request.arguments, deadline: deadline).encoded()
    }

    private func takeSnapshot(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline, nothing)
        return try await replicas.shard(request.shard).takeSnapshot(context: request.context).encoded()
    }

    private func readSnapshot(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try SnapshotPiece(from: &reader)
        }
        let bytes = try await replicas.shard(request.shard).readSnapshot(request.arguments, deadline: deadline)
        var writer = BinaryWriter(capacity: bytes.count + 4)
        writer.write(bytes)
        return writer.bytes
    }

    private func dropSnapshot(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try reader.readInteger(as: UInt64.self)
        }
        try await replicas.shard(request.shard).dropSnapshot(request.arguments, deadline: deadline)
        return []
    }

    private func encode(_ records: [Record]) -> [UInt8] {
        var writer = BinaryWriter(capacity: records.reduce(8) { $0 + $1.estimatedBytes })
        writer.write(records) { $1.encode(to: &$0) }
        return writer.bytes
    }
}

extension Record {
    /// The size of the binary form to expect, so that it is built in one allocation.
    fileprivate var estimatedBytes: Int {
        let vectorBytes = vectors?.entries.reduce(4) { $0 + 8 + $1.name.utf8.count + $1.values.count * 4 } ?? 0
        return 32 + (payload?.json.count ?? 0) + vectorBytes
    }
}

// MARK: - ReplicaService

extension RequestDispatch {
    private func openReplica(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline, nothing)
        return try await replicas.replica(request.shard).openReplica(context: request.context).encoded()
    }

    private func replicate(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            let previous = try LogPosition(from: &reader)
            let records = try reader.readArray { (reader) throws(BinaryFormatError) in try LogRecord(from: &reader) }
            return (previous: previous, records: records)
        }
        let replica = try await replicas.replica(request.shard)
        let (previous, records) = request.arguments
        return try await replica.replicate(records, after: previous, context: request.context).encoded()
    }

    private func digest(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try reader.readArray { (reader) throws(BinaryFormatError) in try VirtualShardRange(from: &reader) }
        }
        let replica = try await replicas.replica(request.shard)
        return try await replica.digest(of: request.arguments, context: request.context).encoded()
    }

    private func fill(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try FillRequest(from: &reader)
        }
        let replica = try await replicas.replica(request.shard)
        return try await replica.fill(request.arguments, context: request.context).encoded(capacity: 4_096)
    }

    private func links(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try LinkRequest(from: &reader)
        }
        let page = try await replicas.replica(request.shard).links(request.arguments, context: request.context)
        var writer = BinaryWriter(capacity: page?.estimatedBytes ?? 1)
        writer.write(page) { $1.encode(to: &$0) }
        return writer.bytes
    }

    private func beginSnapshot(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try SnapshotOffer(from: &reader)
        }
        try await replicas.replica(request.shard).beginSnapshot(request.arguments, context: request.context)
        return []
    }

    private func receiveSnapshot(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try SnapshotChunk(from: &reader)
        }
        try await replicas.replica(request.shard).receiveSnapshot(request.arguments, context: request.context)
        return []
    }

    private func finishSnapshot(_ body: ByteBuffer, _ deadline: Deadline) async throws(ShardError) -> [UInt8] {
        let request = try decode(body, deadline) { (reader) throws(BinaryFormatError) in
            try SnapshotEnd(from: &reader)
        }
        let replica = try await replicas.replica(request.shard)
        let (transfer, checksums) = (request.arguments.transfer, request.arguments.checksums)
        return try await replica.finishSnapshot(transfer: transfer, checksums: checksums, context: request.context)
            .encoded()
    }
}

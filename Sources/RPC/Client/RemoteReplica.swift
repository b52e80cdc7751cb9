package import DataModel

/// A shard's replica on another node, for its primary.
package struct RemoteReplica: ReplicaService {
    let peer: Peer
    let id: ShardID

    package func openReplica(context: RequestContext) async throws(ShardError) -> BackupState {
        try await call(.openReplica, context, lane: .replication, answer: backupState)
    }

    package func replicate(
        _ records: [LogRecord], after previous: LogPosition, context: RequestContext
    ) async throws(ShardError) -> BackupState {
        let capacity = records.reduce(128) { $0 + 64 + $1.operation.estimatedBytes }
        return try await call(
            .replicate, context, lane: .replication, capacity: capacity,
            arguments: { writer in
                previous.encode(to: &writer)
                writer.write(records) { $1.encode(to: &$0) }
            }, answer: backupState)
    }

    package func digest(
        of ranges: [VirtualShardRange], context: RequestContext
    ) async throws(ShardError) -> ReplicaDigest {
        try await call(
            .digest, context, lane: .bulk, arguments: { $0.write(ranges) { $1.encode(to: &$0) } },
            answer: { (reader) throws(BinaryFormatError) in try ReplicaDigest(from: &reader) })
    }

    package func beginSnapshot(_ offer: SnapshotOffer, context: RequestContext) async throws(ShardError) {
        try await call(.beginSnapshot, context, lane: .bulk, arguments: { offer.encode(to: &$0) }, answer: nothing)
    }

    package func receiveSnapshot(_ chunk: SnapshotChunk, context: RequestContext) async throws(ShardError) {
        try await call(
            .receiveSnapshot, context, lane: .bulk, capacity: 256 + chunk.bytes.count,
            arguments: { chunk.encode(to: &$0) }, answer: nothing)
    }

    package func finishSnapshot(
        transfer: UInt64, checksums: [String: UInt64], context: RequestContext
    ) async throws(ShardError) -> BackupState {
        try await call(
            .finishSnapshot, context, lane: .bulk,
            arguments: { SnapshotEnd(transfer: transfer, checksums: checksums).encode(to: &$0) }, answer: backupState)
    }

    package func fill(_ request: FillRequest, context: RequestContext) async throws(ShardError) -> FillAnswer {
        // Pages of points are in no hurry; writers wait for all else.
        var lane = Peer.Lane.replication
        if case .points = request { lane = .bulk }
        return try await call(
            .fill, context, lane: lane, arguments: { request.encode(to: &$0) },
            answer: { (reader) throws(BinaryFormatError) in try FillAnswer(from: &reader) })
    }

    package func links(_ request: LinkRequest, context: RequestContext) async throws(ShardError) -> LinkPage? {
        try await call(
            .links, context, lane: .bulk, arguments: { request.encode(to: &$0) },
            answer: { (reader) throws(BinaryFormatError) in
                try reader.readOptional { (reader) throws(BinaryFormatError) in try LinkPage(from: &reader) }
            })
    }

    private func call<Answer>(
        _ method: Method, _ context: RequestContext, lane: Peer.Lane, capacity: Int = 256,
        arguments: (inout BinaryWriter) -> Void = { _ in },
        answer: (inout BinaryReader) throws(BinaryFormatError) -> Answer
    ) async throws(ShardError) -> Answer {
        try await peer.call(
            method, shard: id, context, lane: lane, capacity: capacity,
            arguments: arguments, answer: answer)
    }
}

private func backupState(_ reader: inout BinaryReader) throws(BinaryFormatError) -> BackupState {
    try BackupState(from: &reader)
}

private func nothing(_ reader: inout BinaryReader) throws(BinaryFormatError) {}

/// The arguments of `finishSnapshot`.
struct SnapshotEnd: Sendable, Equatable, BinaryCodable {
    var transfer: UInt64
    /// XXH3 (64 bits) of each file, by its name.
    var checksums: [String: UInt64]

    init(transfer: UInt64, checksums: [String: UInt64]) {
        self.transfer = transfer
        self.checksums = checksums
    }

    func encode(to writer: inout BinaryWriter) {
        writer.write(transfer)
        writer.write(checksums) { writer, entry in
            writer.write(entry.key)
            writer.write(entry.value)
        }
    }

    init(from reader: inout BinaryReader) throws(BinaryFormatError) {
        transfer = try reader.readInteger()
        let entries = try reader.readArray { (reader) throws(BinaryFormatError) in
            (name: try reader.readString(), checksum: try reader.readInteger(as: UInt64.self))
        }
        checksums = Dictionary(entries.map { ($0.name, $0.checksum) }, uniquingKeysWith: { $1 })
    }
}

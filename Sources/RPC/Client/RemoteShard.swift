package import DataModel

/// A shard's replica on another node, for the coordinator.
package struct RemoteShard: ShardService {
    let peer: Peer
    let id: ShardID

    package func search(
        _ searches: [SearchRequest], context: RequestContext
    ) async throws(ShardError) -> [SearchAnswer] {
        let capacity = searches.reduce(128) { $0 + 64 + $1.space.utf8.count + $1.vector.count * 4 }
        return try await read(.search, context, capacity: capacity) { writer in
            writer.write(searches) { $1.encode(to: &$0) }
        } answer: { (reader) throws(BinaryFormatError) in
            try reader.readArray { (reader) throws(BinaryFormatError) in try SearchAnswer(from: &reader) }
        }
    }

    package func retrieve(_ request: RetrieveRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await read(.retrieve, context, capacity: 128 + request.ids.count * PointID.maximumKeyLength) {
            request.encode(to: &$0)
        } answer: { (reader) throws(BinaryFormatError) in
            try reader.readArray { (reader) throws(BinaryFormatError) in try Record(from: &reader) }
        }
    }

    package func scroll(_ request: ScrollRequest, context: RequestContext) async throws(ShardError) -> [Record] {
        try await read(.scroll, context) {
            request.encode(to: &$0)
        } answer: { (reader) throws(BinaryFormatError) in
            try reader.readArray { (reader) throws(BinaryFormatError) in try Record(from: &reader) }
        }
    }

    package func count(_ filter: Filter?, context: RequestContext) async throws(ShardError) -> UInt64 {
        try await read(.count, context) {
            $0.write(filter) { $1.encode(to: &$0) }
        } answer: { (reader) throws(BinaryFormatError) in
            try reader.readInteger()
        }
    }

    package func write(
        _ request: WriteRequest, context: RequestContext
    ) async throws(ShardError) -> WriteReceipt {
        try await peer.call(
            .write, shard: id, context, lane: .write, capacity: 128 + request.estimatedBytes
        ) {
            request.encode(to: &$0)
        } answer: { (reader) throws(BinaryFormatError) in
            WriteReceipt(sequence: SequenceNumber(try reader.readInteger()))
        }
    }

    package func status(deadline: Deadline) async throws(ShardError) -> ReplicaStatus {
        try await read(.status, RequestContext(epoch: Epoch(0), deadline: deadline)) { _ in
        } answer: { (reader) throws(BinaryFormatError) in
            try ReplicaStatus(from: &reader)
        }
    }

    package func maintain(
        _ task: MaintenanceTask, deadline: Deadline
    ) async throws(ShardError) -> MaintenanceResult {
        try await read(.maintain, RequestContext(epoch: Epoch(0), deadline: deadline)) {
            task.encode(to: &$0)
        } answer: { (reader) throws(BinaryFormatError) in
            try MaintenanceResult(from: &reader)
        }
    }

    package func takeSnapshot(context: RequestContext) async throws(ShardError) -> SnapshotCopy {
        try await read(.takeSnapshot, context, lane: .bulk) { _ in
        } answer: { (reader) throws(BinaryFormatError) in
            try SnapshotCopy(from: &reader)
        }
    }

    package func readSnapshot(_ piece: SnapshotPiece, deadline: Deadline) async throws(ShardError) -> [UInt8] {
        try await read(.readSnapshot, RequestContext(epoch: Epoch(0), deadline: deadline), lane: .bulk) {
            piece.encode(to: &$0)
        } answer: { (reader) throws(BinaryFormatError) in
            try reader.readBytes()
        }
    }

    package func dropSnapshot(_ transfer: UInt64, deadline: Deadline) async throws(ShardError) {
        try await read(.dropSnapshot, RequestContext(epoch: Epoch(0), deadline: deadline), lane: .bulk) {
            $0.write(transfer)
        } answer: { (_) throws(BinaryFormatError) in
        }
    }

    private func read<Answer>(
        _ method: Method, _ context: RequestContext, lane: Peer.Lane = .read, capacity: Int = 256,
        arguments: (inout BinaryWriter) -> Void,
        answer: (inout BinaryReader) throws(BinaryFormatError) -> Answer
    ) async throws(ShardError) -> Answer {
        try await peer.call(
            method, shard: id, context, lane: lane, capacity: capacity,
            arguments: arguments, answer: answer)
    }
}

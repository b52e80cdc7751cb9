import AsyncHTTPClient
import DataModel
import Foundation
import Logging
import NIOCore
import Synchronization

/// A watch is a streamed answer of one member. When it breaks, or its member gives no more signs of life, it goes on
/// from where it was at the next one.
extension EtcdControlStore {
    package func watch(_ prefix: String, after revision: Revision) -> AsyncStream<WatchUpdate> {
        let (stream, continuation) = AsyncStream.makeStream(of: WatchUpdate.self)
        let isWatching = guarded.withLock { guarded in
            if guarded.isClosed { return false }
            let id = guarded.nextWatch
            guarded.nextWatch += 1
            let task = Task {
                await self.follow(prefix, after: revision, continuation)
                self.guarded.withLock { _ = $0.watches.removeValue(forKey: id) }
            }
            guarded.watches[id] = task
            continuation.onTermination = { _ in task.cancel() }
            return true
        }
        if !isWatching {
            continuation.yield(.failed(.closed))
            continuation.finish()
        }
        return stream
    }

    private func follow(
        _ prefix: String, after revision: Revision, _ continuation: AsyncStream<WatchUpdate>.Continuation
    ) async {
        var position = revision
        var failures = 0
        while !Task.isCancelled {
            let endpoint = client.endpoint
            let connection = EtcdWatch(
                prefix: prefix, endpoint: endpoint, client: client, keys: keys, continuation: continuation)
            let end = await connection.run(after: position)
            position = end.position
            if Task.isCancelled { break }
            switch end.reason {
            case .compacted:
                continuation.yield(.compacted)
                return continuation.finish()
            case .broken(let reason):
                failures = end.wasOpen ? 1 : failures + 1
                // Once for each time that it goes wrong, not for each attempt.
                if failures == 1 { logger.warning("The watch on etcd broke and goes on elsewhere: \(reason)") }
                await client.moveOn(from: endpoint, failures: failures)
            }
        }
        if isClosed { continuation.yield(.failed(.closed)) }
        continuation.finish()
    }
}

/// One connection of a watch.
struct EtcdWatch: Sendable {
    enum Reason: Sendable {
        case compacted
        case broken(String)
    }

    struct End: Sendable {
        var reason: Reason
        /// Everything up to here was given to the continuation.
        var position: Revision
        /// Whether the member had begun to answer.
        var wasOpen = false
    }

    let prefix: String
    let endpoint: String
    let client: EtcdClient
    let keys: EtcdKeys
    let continuation: AsyncStream<WatchUpdate>.Continuation

    /// Reads until the stream ends, whatever ends it.
    func run(after position: Revision) async -> End {
        await withTaskGroup(of: End?.self) { group in
            group.addTask { await read(after: position) }
            group.addTask {
                await probe()
                return nil
            }
            // The probe ends first when the member is gone: then the reader is told to end, and says where it was.
            var end: End?
            while let next = await group.next() {
                group.cancelAll()
                if let next { end = next }
            }
            return end ?? End(reason: .broken("cancelled"), position: position)
        }
    }

    /// Returns when the member cannot serve a read that needs the majority: it is down, cut off, or hung.
    private func probe() async {
        let question = Etcd.RangeRequest(key: keys.record(prefix), countOnly: true)
        while (try? await Task.sleep(for: EtcdLimits.watchProbeInterval)) != nil {
            let result: Result<Etcd.Acknowledgement, EtcdFailure> = await client.attempt(
                "kv/range", question, on: endpoint)
            if case .failure = result { return }
        }
    }

    private func read(after start: Revision) async -> End {
        var end = End(reason: .broken("\(endpoint) ended the watch"), position: start)
        let (first, last) = keys.range(prefix)
        let request = Etcd.WatchRequest(
            create: Etcd.WatchRequest.Create(
                key: first, rangeEnd: last, startRevision: Etcd.Number(start.rawValue + 1)))
        do {
            var lines = LineSplitter()
            for try await chunk in try await client.stream("watch", request, on: endpoint) {
                lines.append(chunk)
                while let line = lines.next() {
                    guard take(line, &end) else { return end }
                }
            }
        } catch {
            end.reason = .broken(EtcdClient.failure(error, endpoint).reason)
        }
        return end
    }

    /// Hands a line's events on; false when it is the last one.
    private func take(_ line: Data, _ end: inout End) -> Bool {
        guard let response = try? JSONDecoder().decode(Etcd.Streamed<Etcd.WatchResponse>.self, from: line).result else {
            let failure = try? JSONDecoder().decode(Etcd.Failure.self, from: line)
            let text = String(decoding: line.prefix(200), as: UTF8.self)
            end.reason = .broken("\(endpoint): \(failure?.message ?? "not a watch's answer: \(text)")")
            return false
        }
        if response.compactRevision?.value ?? 0 > 0 {
            end.reason = .compacted
            return false
        }
        if response.canceled == true {
            end.reason = .broken("\(endpoint) cancelled the watch: \(response.cancelReason ?? "no reason given")")
            return false
        }
        let now = Revision(response.header.revision?.value ?? 0)
        if response.created == true {
            end.wasOpen = true
            // A position of the future: etcd was restored from a backup, or this member lags. A list tells.
            if now < end.position {
                end.reason = .compacted
                return false
            }
            return true
        }
        let events = (response.events ?? []).compactMap { keys.event($0) }
        // An answer to a watch that catches up may be followed by older changes than its header's revision: only its
        // events count. Without events it is etcd's word that there was nothing up to that revision.
        guard let position = events.last?.revision ?? (response.events == nil ? now : nil),
            position > end.position
        else { return true }
        end.position = position
        continuation.yield(.changed(events, upTo: position))
        return true
    }
}

/// Cuts a stream of bytes into lines.
private struct LineSplitter {
    private var buffer = ByteBuffer()

    mutating func append(_ chunk: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = chunk
        } else {
            buffer.writeImmutableBuffer(chunk)
        }
    }

    mutating func next() -> Data? {
        guard let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let line = buffer.readBytes(length: end - buffer.readerIndex).map { Data($0) }
        buffer.moveReaderIndex(forwardBy: 1)
        buffer.discardReadBytes()
        return line
    }
}

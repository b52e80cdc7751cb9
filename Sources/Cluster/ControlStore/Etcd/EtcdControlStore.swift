import DataModel
import Foundation
package import Logging
import Synchronization

/// The control store in etcd v3, spoken to through its gRPC-JSON gateway.
///
/// Every read is linearizable: etcd asks its majority before it answers. A call goes to one member, and to the next one
/// when that fails; writes carry a token, by which a repeated one is recognised (`EtcdControlStore+Transactions`).
package final class EtcdControlStore: ControlStore {
    struct Guarded {
        var isClosed = false
        var watches: [UInt64: Task<Void, Never>] = [:]
        var nextWatch: UInt64 = 0
        /// Times of the leases that were granted here.
        var leases: [LeaseID: Duration] = [:]
        var tokenLease: TokenLease?
    }

    let client: EtcdClient
    let keys: EtcdKeys
    let logger: Logger
    let guarded = Mutex(Guarded())

    /// Connects when it is first used.
    ///
    /// - Throws: `unavailable` when a file of the TLS settings cannot be read.
    package init(options: EtcdOptions, logger: Logger) throws(ControlStoreError) {
        client = try EtcdClient(options: options, logger: logger)
        keys = EtcdKeys(prefix: options.prefix)
        self.logger = logger
    }

    deinit {
        if !guarded.withLock({ $0.isClosed }) { client.shutdownLater() }
    }

    package func close() async {
        let watches = guarded.withLock { guarded in
            defer { guarded.watches = [:] }
            let isFirst = !guarded.isClosed
            guarded.isClosed = true
            return isFirst ? Array(guarded.watches.values) : nil
        }
        guard let watches else { return }
        for watch in watches { watch.cancel() }
        for watch in watches { await watch.value }
        await client.shutdown()
    }

    var isClosed: Bool { guarded.withLock { $0.isClosed } }

    func checkOpen() throws(ControlStoreError) {
        if isClosed { throw .closed }
    }

    /// A round trip to etcd, and one among its members.
    package var latestRevisionIsCheap: Bool { false }

    // MARK: - Reading

    package func get(_ key: String) async throws(ControlStoreError) -> ControlEntry? {
        let answer: Etcd.RangeResponse = try await read(Etcd.RangeRequest(key: keys.record(key)))
        return answer.kvs?.first.flatMap { keys.entry($0) }
    }

    package func list(
        _ prefix: String
    ) async throws(ControlStoreError) -> (entries: [ControlEntry], revision: Revision) {
        while true {
            if let found = try await pages(of: prefix) { return found }
        }
    }

    /// All pages as of the revision of the first; nil when that was compacted in between.
    private func pages(
        of prefix: String
    ) async throws(ControlStoreError) -> (entries: [ControlEntry], revision: Revision)? {
        let (first, end) = keys.range(prefix)
        var request = Etcd.RangeRequest(
            key: first, rangeEnd: end, limit: Etcd.Number(UInt64(EtcdLimits.pageKeys)))
        var entries: [ControlEntry] = []
        while true {
            let page: Etcd.RangeResponse
            do throws(EtcdClient.CallError) {
                page = try await callWhileOpen("kv/range", request)
            } catch {
                if error.failure == .compacted { return nil }
                throw failure(error)
            }
            let rows = page.kvs ?? []
            entries += rows.compactMap { keys.entry($0) }
            let revision = request.revision ?? page.header.revision ?? Etcd.Number(0)
            guard page.more == true, let last = rows.last else { return (entries, Revision(revision.value)) }
            request.revision = revision
            request.key = last.key + [0]
        }
    }

    package func latestRevision() async throws(ControlStoreError) -> Revision {
        let answer: Etcd.RangeResponse = try await read(
            Etcd.RangeRequest(key: keys.record(""), countOnly: true))
        return Revision(answer.header.revision?.value ?? 0)
    }

    /// etcd tells what was changed but not what was deleted without a watch; a list is as quick.
    package func changes(_ prefix: String, after revision: Revision) async throws(ControlStoreError) -> WatchUpdate {
        try checkOpen()
        return .compacted
    }

    // MARK: - Calls

    private func read<Body: Decodable & Sendable>(
        _ request: Etcd.RangeRequest
    ) async throws(ControlStoreError) -> Body {
        do throws(EtcdClient.CallError) {
            return try await callWhileOpen("kv/range", request)
        } catch {
            throw failure(error)
        }
    }

    private func callWhileOpen<Body: Decodable & Sendable>(
        _ path: String, _ request: some Encodable & Sendable
    ) async throws(EtcdClient.CallError) -> Body {
        if isClosed { throw EtcdClient.CallError(failure: .refused(reason: "closed"), isRepeated: false) }
        return try await client.call(path, request).body
    }

    /// `closed` when that is the reason.
    func failure(_ error: EtcdClient.CallError) -> ControlStoreError {
        isClosed ? .closed : ControlStoreError(error.failure)
    }
}

import DataModel
import Foundation
import Synchronization

/// A lease that tokens of transactions are attached to, so that etcd removes them.
struct TokenLease: Sendable {
    var id: UInt64
    var grantedAt: ContinuousClock.Instant
}

/// A transaction whose answer was lost is sent again, and must not take effect twice, or count as a conflict with
/// itself. So each one also makes a key of its own, the *token*, under the guard that it does not exist. A transaction
/// that finds its token has committed before, in the revision of the token.
///
/// When a repeated transaction meets a conflict, an earlier attempt may still be on its way, and its guards may hold
/// again when it arrives. The token is then put by itself: after that no attempt can commit. Tokens go with a lease
/// that is never kept alive, and a transaction whose token's lease is gone is refused, so an attempt that is delayed
/// beyond all patience is as harmless.
extension EtcdControlStore {
    package func transaction(
        guards: [ControlGuard], mutations: [ControlMutation]
    ) async throws(ControlStoreError) -> TransactionOutcome {
        precondition(guards.count <= ControlLimits.transactionOperations, "too many guards")
        precondition(mutations.count <= ControlLimits.transactionOperations, "too many mutations")
        precondition(Set(mutations.map(\.key)).count == mutations.count, "a key is changed twice")
        try checkOpen()
        try checkSize(guards, mutations)
        let lease = try await tokenLease()
        let token = keys.token(UInt64.random(in: .min ... .max))
        let request = request(guards, mutations, token: token, lease: lease)
        do throws(EtcdClient.CallError) {
            let answer: EtcdClient.Answer<Etcd.TransactionResponse> = try await client.call("kv/txn", request)
            if let revision = committedRevision(answer.body) { return .committed(revision) }
            guard answer.isRepeated else { return .conflict }
        } catch {
            guard error.failure == .leaseNotFound else { throw failure(error) }
            if !error.isRepeated { throw try await missingLease(mutations) }
            // The lease may have ended after an attempt that took effect.
            if let revision = try await seal(token, lease) { return .committed(revision) }
            throw try await missingLease(mutations)
        }
        return try await seal(token, lease).map { .committed($0) } ?? .conflict
    }

    private func request(
        _ guards: [ControlGuard], _ mutations: [ControlMutation], token: Data, lease: UInt64
    ) -> Etcd.TransactionRequest {
        let compare = guards.map { condition in
            Etcd.Compare(
                key: keys.record(condition.key), modRevision: Etcd.Number(condition.expected?.rawValue ?? 0))
        }
        let success = mutations.map { mutation in
            switch mutation {
            case .put(let key, let value, let lease):
                Etcd.RequestOperation(
                    put: Etcd.PutRequest(
                        key: keys.record(key), value: Data(value), lease: lease.map { Etcd.Number($0.rawValue) }))
            case .delete(let key):
                Etcd.RequestOperation(deleteRange: Etcd.DeleteRangeRequest(key: keys.record(key)))
            }
        }
        var request = tokenRequest(token, lease)
        request.compare += compare
        request.success += success
        return request
    }

    /// Puts the token if it does not exist, and says when it was put if it does.
    private func tokenRequest(_ token: Data, value: Data = Data(), _ lease: UInt64) -> Etcd.TransactionRequest {
        let put = Etcd.PutRequest(key: token, value: value, lease: Etcd.Number(lease))
        return Etcd.TransactionRequest(
            compare: [Etcd.Compare(key: token, modRevision: Etcd.Number(0))],
            success: [Etcd.RequestOperation(put: put)],
            failure: [Etcd.RequestOperation(range: Etcd.RangeRequest(key: token))])
    }

    /// The revision in which this or an earlier attempt committed; nil when none has so far.
    private func committedRevision(_ response: Etcd.TransactionResponse) -> Revision? {
        if response.succeeded == true { return Revision(response.header.revision?.value ?? 0) }
        return tokenInTransaction(response)?.modRevision.map { Revision($0.value) }
    }

    /// The token as a transaction put it.
    private func tokenInTransaction(_ response: Etcd.TransactionResponse) -> Etcd.KeyValue? {
        response.responses?.first?.range?.kvs?.first.flatMap { ($0.value ?? Data()).isEmpty ? $0 : nil }
    }

    /// Makes sure that no attempt of the token's transaction commits any more.
    ///
    /// - Returns: the revision in which one has.
    private func seal(_ token: Data, _ lease: UInt64) async throws(ControlStoreError) -> Revision? {
        do throws(EtcdClient.CallError) {
            let answer: EtcdClient.Answer<Etcd.TransactionResponse> = try await client.call(
                "kv/txn", tokenRequest(token, value: Data("sealed".utf8), lease))
            return tokenInTransaction(answer.body)?.modRevision.map { Revision($0.value) }
        } catch {
            throw failure(error)
        }
    }

    /// Why etcd did not know a lease: the caller's is gone, or the token's is.
    private func missingLease(_ mutations: [ControlMutation]) async throws(ControlStoreError) -> ControlStoreError {
        for mutation in mutations {
            guard case .put(_, _, let lease?) = mutation else { continue }
            if try await !isAlive(lease) { return .leaseExpired(lease) }
        }
        guarded.withLock { $0.tokenLease = nil }
        return .unavailable(reason: "etcd lost a lease that it had just granted; was it restored from a backup?")
    }

    private func tokenLease() async throws(ControlStoreError) -> UInt64 {
        if let lease = guarded.withLock({ $0.tokenLease }),
            ContinuousClock.now - lease.grantedAt < EtcdLimits.tokenLeaseUse
        {
            return lease.id
        }
        let sentAt = ContinuousClock.now
        let id = try await grant(seconds: UInt64(EtcdLimits.tokenLease.components.seconds))
        guarded.withLock { $0.tokenLease = TokenLease(id: id.rawValue, grantedAt: sentAt) }
        return id.rawValue
    }

    private func checkSize(_ guards: [ControlGuard], _ mutations: [ControlMutation]) throws(ControlStoreError) {
        // What protocol buffers add to each field, generously.
        let overhead = 64
        var bytes = guards.reduce(0) { $0 + $1.key.utf8.count + overhead }
        for mutation in mutations {
            guard !mutation.key.isEmpty else { throw .unavailable(reason: "a key is empty") }
            bytes += mutation.key.utf8.count + overhead
            if case .put(_, let value, _) = mutation { bytes += value.count }
        }
        guard bytes <= EtcdLimits.requestBytes else {
            throw .unavailable(
                reason: "a change of \(bytes) bytes is more than etcd takes at once, \(EtcdLimits.requestBytes)")
        }
    }
}

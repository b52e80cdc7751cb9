import DataModel
import Foundation
import Synchronization

extension EtcdControlStore {
    package func grantLease(ttl: Duration) async throws(ControlStoreError) -> LeaseID {
        precondition(ttl > .zero)
        try checkOpen()
        // etcd counts whole seconds, and raises what is below its own minimum, one and a half election timeouts.
        let (seconds, rest) = ttl.components
        let lease = try await grant(seconds: UInt64(seconds) + (rest > 0 ? 1 : 0))
        guarded.withLock { $0.leases[lease] = ttl }
        return lease
    }

    func grant(seconds: UInt64) async throws(ControlStoreError) -> LeaseID {
        // Chosen here, so that a repeated request does not grant two.
        let id = UInt64.random(in: 1...UInt64(Int64.max))
        let request = Etcd.LeaseGrantRequest(seconds: Etcd.Number(seconds), id: Etcd.Number(id))
        do throws(EtcdClient.CallError) {
            let _: EtcdClient.Answer<Etcd.LeaseResponse> = try await client.call("lease/grant", request)
        } catch {
            guard error.failure == .leaseExists, error.isRepeated else { throw failure(error) }
        }
        return LeaseID(id)
    }

    /// A renewal does not pass through etcd's log: a leader that was replaced, and has not noticed, would grant it too,
    /// while the lease runs out at the new one (etcd issue 15247; fixed in 3.4.25 and 3.5.8). So a read by the majority
    /// follows at the same member: when its term is that of the renewal, so was its leader the leader.
    package func keepAlive(_ lease: LeaseID) async throws(ControlStoreError) {
        try checkOpen()
        let ttl = guarded.withLock { $0.leases[lease] } ?? .seconds(6)
        // A renewal that takes longer is better sent anew: the caller's clock counts from the sending.
        let deadline = ContinuousClock.now + ttl / 3
        let timeout = min(max(ttl / 6, .milliseconds(250)), client.options.attemptTimeout)
        var failures = 0
        while true {
            let endpoint = client.endpoint
            let failure: EtcdFailure
            switch await renew(lease, on: endpoint, timeout: timeout) {
            case .success(true): return
            case .success(false):
                guarded.withLock { _ = $0.leases.removeValue(forKey: lease) }
                throw .leaseExpired(lease)
            case .failure(let error): failure = error
            }
            failures += 1
            guard failure.isTransient, ContinuousClock.now < deadline, !isClosed, !Task.isCancelled else {
                throw isClosed ? .closed : ControlStoreError(failure)
            }
            await client.moveOn(from: endpoint, failures: failures)
        }
    }

    /// - Returns: whether the lease is alive.
    private func renew(
        _ lease: LeaseID, on endpoint: String, timeout: Duration
    ) async -> Result<Bool, EtcdFailure> {
        let renewal: Result<Etcd.Streamed<Etcd.LeaseResponse>, EtcdFailure> = await client.attempt(
            "lease/keepalive", Etcd.LeaseRequest(id: Etcd.Number(lease.rawValue)), on: endpoint, timeout: timeout)
        let renewed: Etcd.LeaseResponse
        switch renewal {
        case .success(let answer): renewed = answer.result
        case .failure(.leaseNotFound): return .success(false)
        case .failure(let failure): return .failure(failure)
        }
        guard renewed.isAlive else { return .success(false) }
        let question = Etcd.RangeRequest(key: keys.record(""), countOnly: true)
        let confirmation: Result<Etcd.Acknowledgement, EtcdFailure> = await client.attempt(
            "kv/range", question, on: endpoint, timeout: timeout)
        switch confirmation {
        case .success(let answer) where answer.header.raftTerm == renewed.header.raftTerm: return .success(true)
        case .success: return .failure(.unanswered(reason: "\(endpoint): etcd elected a leader meanwhile"))
        case .failure(let failure): return .failure(failure)
        }
    }

    package func revoke(_ lease: LeaseID) async throws(ControlStoreError) {
        try checkOpen()
        do throws(EtcdClient.CallError) {
            let _: EtcdClient.Answer<Etcd.Acknowledgement> = try await client.call(
                "lease/revoke", Etcd.LeaseRequest(id: Etcd.Number(lease.rawValue)))
        } catch {
            guard error.failure == .leaseNotFound else { throw failure(error) }
        }
        guarded.withLock { _ = $0.leases.removeValue(forKey: lease) }
    }

    func isAlive(_ lease: LeaseID) async throws(ControlStoreError) -> Bool {
        do throws(EtcdClient.CallError) {
            let answer: EtcdClient.Answer<Etcd.LeaseResponse> = try await client.call(
                "lease/timetolive", Etcd.LeaseRequest(id: Etcd.Number(lease.rawValue)))
            return answer.body.isAlive
        } catch {
            if error.failure == .leaseNotFound { return false }
            throw failure(error)
        }
    }
}

import DataModel
import Glibc
import LMDB
import Logging
import Synchronization

extension LMDBControlStore {
    package func grantLease(ttl: Duration) async throws(ControlStoreError) -> LeaseID {
        precondition(ttl > .zero)
        let lease = LeaseID(UInt64.random(in: 1...UInt64.max))
        let nanoseconds = Self.nanoseconds(ttl)
        // Locked before it is known: whoever finds the lease in the table finds its lock held.
        let descriptor = try locks.acquire(lease)
        do throws(ControlStoreError) {
            let row = try await write { [tables, times] transaction in
                let used = Set(try tables.allLeases(in: transaction).values.map(\.slot))
                guard let slot = (0..<LeaseTimes.slotCount).first(where: { !used.contains($0) }) else {
                    throw ControlStoreError.unavailable(reason: "all \(LeaseTimes.slotCount) leases are taken")
                }
                let row = LeaseRow(slot: slot, timeToLive: nanoseconds)
                times.assign(slot, to: lease, until: LeaseTimes.now() + nanoseconds)
                try transaction.put(row.bytes, at: lease.rawValue, in: tables.leases)
                return row
            }
            let kept = guarded.withLock { guarded in
                if !guarded.isClosed { guarded.ownLeases[lease] = OwnLease(row: row, descriptor: descriptor) }
                return !guarded.isClosed
            }
            if !kept { throw .closed }
        } catch {
            Glibc.close(descriptor)
            locks.remove(lease)
            throw error
        }
        return lease
    }

    package func keepAlive(_ lease: LeaseID) async throws(ControlStoreError) {
        try checkOpen()
        let row: LeaseRow?
        if let own = guarded.withLock({ $0.ownLeases[lease] }) {
            row = own.row
        } else {
            do {
                row = try environment.read { [tables] transaction in try tables.lease(lease, in: transaction) }
            } catch {
                throw Self.error(error)
            }
        }
        let now = LeaseTimes.now()
        if let row, times.extend(lease, slot: row.slot, to: now + row.timeToLive, now: now) { return }
        release(lease)
        throw .leaseExpired(lease)
    }

    package func revoke(_ lease: LeaseID) async throws(ControlStoreError) {
        _ = try await write { [tables, times] transaction in
            guard let row = try tables.lease(lease, in: transaction) else { return false }
            times.end(lease, slot: row.slot)
            var changes = ControlChanges(tables)
            try changes.remove(lease, in: transaction)
            try changes.trimLog(to: Self.logLength, in: transaction)
            return true
        }
        release(lease)
        locks.remove(lease)
    }

    /// Lets go of the lease's lock, if it is this instance's.
    private func release(_ lease: LeaseID) {
        let own = guarded.withLock { $0.ownLeases.removeValue(forKey: lease) }
        if let own { Glibc.close(own.descriptor) }
    }

    /// Ends the leases whose owners are gone and those whose time has passed, and deletes their keys.
    func expireLeases() {
        do {
            let leases = try environment.read { [tables] transaction in try tables.allLeases(in: transaction) }
            let now = LeaseTimes.now()
            let suspects = leases.filter { lease, row in
                !times.isAlive(lease, slot: row.slot, now: now) || !locks.isHeld(lease)
            }
            if suspects.isEmpty { return }
            let ended = try environment.write { [tables, times, locks] transaction in
                var changes = ControlChanges(tables)
                var ended: [LeaseID] = []
                // Looked at again under the write lock: another process may have ended it, its owner have extended it.
                for lease in suspects.keys.sorted() {
                    guard let row = try tables.lease(lease, in: transaction) else { continue }
                    if locks.isHeld(lease) {
                        guard times.endIfPast(lease, slot: row.slot, now: LeaseTimes.now()) else { continue }
                    } else {
                        times.end(lease, slot: row.slot)
                    }
                    try changes.remove(lease, in: transaction)
                    ended.append(lease)
                }
                if !changes.events.isEmpty { try changes.trimLog(to: Self.logLength, in: transaction) }
                return ended
            }
            for lease in ended {
                locks.remove(lease)
                logger.info("Ended a lease whose owner is gone or late", metadata: ["lease": "\(lease)"])
            }
        } catch {
            logger.warning("Leases cannot be looked after: \(error)")
        }
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }
}

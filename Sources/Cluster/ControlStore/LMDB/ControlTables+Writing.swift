import DataModel
import LMDB

/// A write transaction of the control store while it is being filled: entries, their attachment to leases and the log
/// change together.
struct ControlChanges: ~Copyable {
    let tables: ControlTables
    /// The changes so far; each becomes a row of the log.
    private(set) var events: [ControlEvent] = []

    init(_ tables: ControlTables) { self.tables = tables }

    mutating func put(
        key: String, value: [UInt8], lease: LeaseID?, in transaction: borrowing WriteTransaction
    ) throws(LMDBError) {
        let old = try tables.entry(key, in: transaction)
        if let attached = old?.lease, attached != lease {
            try transaction.delete(Self.attachment(attached, key), from: tables.leaseKeys)
        }
        if let lease, old?.lease != lease {
            try transaction.put([], at: Self.attachment(lease, key), in: tables.leaseKeys)
        }
        let entry = ControlEntry(key: key, value: value, modRevision: Revision(transaction.id), lease: lease)
        try transaction.put(entry.row, at: key.utf8, in: tables.entries)
        try record(.put(entry), in: transaction)
    }

    mutating func delete(_ key: String, in transaction: borrowing WriteTransaction) throws(LMDBError) {
        guard let old = try tables.entry(key, in: transaction) else { return }
        if let attached = old.lease { try transaction.delete(Self.attachment(attached, key), from: tables.leaseKeys) }
        try transaction.delete(key.utf8, from: tables.entries)
        try record(.delete(key: key, revision: Revision(transaction.id)), in: transaction)
    }

    /// Deletes the lease with all its keys.
    mutating func remove(_ lease: LeaseID, in transaction: borrowing WriteTransaction) throws {
        let prefix = [UInt8](bigEndian: lease.rawValue)
        let keys = try transaction.withCursor(in: tables.leaseKeys) { cursor in
            var keys: [String] = []
            var next = try cursor.seek(prefix)
            while let (key, _) = next, key.starts(with: prefix) {
                keys.append(String(decoding: key.dropFirst(prefix.count), as: UTF8.self))
                next = try cursor.next()
            }
            return keys
        }
        for key in keys { try delete(key, in: transaction) }
        try transaction.delete(lease.rawValue, from: tables.leases)
    }

    private mutating func record(
        _ event: ControlEvent, in transaction: borrowing WriteTransaction
    ) throws(LMDBError) {
        try transaction.put(event.row, at: event.logKey(number: events.count), in: tables.log)
        events.append(event)
    }

    /// Drops the oldest rows of the log beyond `limit`.
    func trimLog(to limit: Int, in transaction: borrowing WriteTransaction) throws {
        let excess = Int(try transaction.count(of: tables.log)) - limit
        guard excess > 0 else { return }
        let compacted = try transaction.withCursor(in: tables.log) { cursor in
            var compacted = Revision.zero
            for _ in 0..<excess {
                guard let (key, _) = try cursor.first(), key.count == 10 else { break }
                compacted = Revision(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))
                try cursor.deleteCurrent()
            }
            return compacted
        }
        try transaction.put(
            [UInt8](littleEndian: compacted.rawValue), at: ControlTables.compactedKey, in: tables.meta)
    }

    private static func attachment(_ lease: LeaseID, _ key: String) -> [UInt8] {
        [UInt8](bigEndian: lease.rawValue) + Array(key.utf8)
    }
}

import DataModel
import LMDB

extension ControlTables {
    func entry<T: Transaction & ~Copyable>(
        _ key: String, in transaction: borrowing T
    ) throws(LMDBError) -> ControlEntry? {
        try transaction.get(key.utf8, in: entries).flatMap { ControlEntry(key: key, row: $0) }
    }

    func entries<T: Transaction & ~Copyable>(
        prefix: String, in transaction: borrowing T
    ) throws -> [ControlEntry] {
        let prefix = Array(prefix.utf8)
        return try transaction.withCursor(in: entries) { cursor in
            var found: [ControlEntry] = []
            var next = prefix.isEmpty ? try cursor.first() : try cursor.seek(prefix)
            while let (key, row) = next, key.starts(with: prefix) {
                if let entry = ControlEntry(key: String(decoding: key, as: UTF8.self), row: row) { found.append(entry) }
                next = try cursor.next()
            }
            return found
        }
    }

    /// The changes after `revision`, up to the state that the transaction sees.
    func changes<T: Transaction & ~Copyable>(
        prefix: String, after revision: Revision, in transaction: borrowing T
    ) throws -> WatchUpdate {
        let latest = Revision(transaction.id)
        // A revision of the future belongs to another store that was here before.
        let compacted = try compacted(in: transaction)
        if revision > latest || revision < compacted { return .compacted }
        if revision == latest { return .changed([], upTo: latest) }
        return try transaction.withCursor(in: log) { cursor in
            var events: [ControlEvent] = []
            var next = try cursor.seek([UInt8](bigEndian: revision.rawValue + 1))
            while let (key, row) = next {
                if let event = ControlEvent(logKey: key, row: row), event.key.hasPrefix(prefix) { events.append(event) }
                next = try cursor.next()
            }
            return .changed(events, upTo: latest)
        }
    }

    func compacted<T: Transaction & ~Copyable>(in transaction: borrowing T) throws(LMDBError) -> Revision {
        guard let bytes = try transaction.get(Self.compactedKey, in: meta), bytes.count == 8 else { return .zero }
        return Revision(UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
    }

    func lease<T: Transaction & ~Copyable>(
        _ lease: LeaseID, in transaction: borrowing T
    ) throws(LMDBError) -> LeaseRow? {
        try transaction.get(lease.rawValue, in: leases).flatMap { LeaseRow($0) }
    }

    func allLeases<T: Transaction & ~Copyable>(in transaction: borrowing T) throws -> [LeaseID: LeaseRow] {
        try transaction.withCursor(in: leases) { cursor in
            var found: [LeaseID: LeaseRow] = [:]
            var next = try cursor.first()
            while let (key, bytes) = next {
                if key.count == 8, let row = LeaseRow(bytes) {
                    found[LeaseID(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))] = row
                }
                next = try cursor.next()
            }
            return found
        }
    }
}

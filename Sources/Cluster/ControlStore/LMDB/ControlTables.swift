import DataModel
import LMDB

/// The tables of the control store's environment, and how their values are laid out (integers little-endian).
///
/// | table | key -> value |
/// |---|---|
/// | `meta` | `compacted` -> UInt64, the newest revision that the log no longer holds whole |
/// | `entries` | key -> modRevision UInt64, lease UInt64 (0: none), value |
/// | `log` | revision UInt64, number within it UInt16 (big-endian) -> lease UInt64, kind UInt8, key length UInt16, key, value |
/// | `leases` | lease UInt64 (big-endian) -> slot UInt64, time to live in nanoseconds UInt64 |
/// | `leaseKeys` | lease UInt64 (big-endian), key -> nothing |
///
/// A revision is the number of the LMDB transaction that made the change.
struct ControlTables: Sendable {
    let meta: Table
    let entries: Table
    let log: Table
    let leases: Table
    let leaseKeys: Table

    static let compactedKey = Array("compacted".utf8)

    init(_ environment: Environment) throws(LMDBError) {
        let tables = try environment.openTables(["meta", "entries", "log", "leases", "leaseKeys"])
        (meta, entries, log, leases, leaseKeys) = (tables[0], tables[1], tables[2], tables[3], tables[4])
    }
}

/// A lease as the durable table knows it.
struct LeaseRow: Sendable {
    var slot: Int
    var timeToLive: UInt64

    init(slot: Int, timeToLive: UInt64) {
        self.slot = slot
        self.timeToLive = timeToLive
    }

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 16, let slot = Int(exactly: bytes.integer(at: 0)) else { return nil }
        self.slot = slot
        timeToLive = bytes.integer(at: 8)
    }

    var bytes: [UInt8] { [UInt8](littleEndian: UInt64(slot)) + [UInt8](littleEndian: timeToLive) }
}

extension ControlEntry {
    private static let headerBytes = 16

    /// Nil when the row is not one of ours.
    init?(key: String, row: UnsafeRawBufferPointer) {
        guard row.count >= Self.headerBytes else { return nil }
        let lease = row.integer(at: 8)
        self.init(
            key: key, value: [UInt8](copying: UnsafeRawBufferPointer(rebasing: row[Self.headerBytes...])),
            modRevision: Revision(row.integer(at: 0)), lease: lease == 0 ? nil : LeaseID(lease))
    }

    var row: [UInt8] {
        [UInt8](littleEndian: modRevision.rawValue) + [UInt8](littleEndian: lease?.rawValue ?? 0) + value
    }
}

extension ControlEvent {
    private static let headerBytes = 11

    /// Nil when the row is not one of ours.
    init?(logKey: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer) {
        guard logKey.count == 10, row.count >= Self.headerBytes else { return nil }
        let revision = Revision(UInt64(bigEndian: logKey.loadUnaligned(as: UInt64.self)))
        let keyEnd = Self.headerBytes + Int(row[9]) + Int(row[10]) << 8
        guard row.count >= keyEnd else { return nil }
        let key = String(decoding: row[Self.headerBytes..<keyEnd], as: UTF8.self)
        if row[8] == 0 {
            self = .delete(key: key, revision: revision)
        } else {
            let lease = row.integer(at: 0)
            self = .put(
                ControlEntry(
                    key: key, value: [UInt8](copying: UnsafeRawBufferPointer(rebasing: row[keyEnd...])),
                    modRevision: revision, lease: lease == 0 ? nil : LeaseID(lease)))
        }
    }

    var row: [UInt8] {
        let key = Array(key.utf8)
        var lease: UInt64 = 0
        var kind: UInt8 = 0
        var value: [UInt8] = []
        if case .put(let entry) = self { (lease, kind, value) = (entry.lease?.rawValue ?? 0, 1, entry.value) }
        return [UInt8](littleEndian: lease) + [kind, UInt8(key.count & 0xff), UInt8(key.count >> 8)] + key + value
    }

    func logKey(number: Int) -> [UInt8] {
        [UInt8](bigEndian: revision.rawValue) + [UInt8](bigEndian: UInt16(number))
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func integer(at offset: Int) -> UInt64 {
        UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

extension [UInt8] {
    init(littleEndian value: some FixedWidthInteger) {
        self = Swift.withUnsafeBytes(of: value.littleEndian) { [UInt8](copying: $0) }
    }

    init(bigEndian value: some FixedWidthInteger) {
        self = Swift.withUnsafeBytes(of: value.bigEndian) { [UInt8](copying: $0) }
    }
}

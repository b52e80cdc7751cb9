internal import CLMDB

/// What read and write transactions share: point look-ups and cursors.
package protocol Transaction: ~Copyable {
    var handle: OpaquePointer { get }
}

/// One consistent state of an environment. Lent to a closure; the values it returns point into the map and are valid only
/// within that closure.
package struct ReadTransaction: ~Copyable, Transaction {
    package let handle: OpaquePointer
}

/// Changes that become visible and durable together. Values that it returned are valid until its next change.
package struct WriteTransaction: ~Copyable, Transaction {
    package let handle: OpaquePointer
}

extension Transaction where Self: ~Copyable {
    /// The value at `key`, or nil.
    package func get(_ key: some Collection<UInt8>, in table: Table) throws(LMDBError) -> UnsafeRawBufferPointer? {
        let key = Array(key)
        let result: Result<UnsafeRawBufferPointer?, LMDBError> = key.withUnsafeBytes { bytes in
            var keyValue = MDB_val(bytes)
            return lookUp(&keyValue, in: table)
        }
        return try result.get()
    }

    /// The value at an integer key (big-endian in the file, so that order is numeric), or nil.
    package func get(_ key: some FixedWidthInteger, in table: Table) throws(LMDBError) -> UnsafeRawBufferPointer? {
        var bigEndian = key.bigEndian
        let result: Result<UnsafeRawBufferPointer?, LMDBError> = withUnsafeMutableBytes(of: &bigEndian) { bytes in
            var keyValue = MDB_val(UnsafeRawBufferPointer(bytes))
            return lookUp(&keyValue, in: table)
        }
        return try result.get()
    }

    private func lookUp(_ key: inout MDB_val, in table: Table) -> Result<UnsafeRawBufferPointer?, LMDBError> {
        var value = MDB_val()
        switch mdb_get(handle, table.id, &key, &value) {
        case MDB_SUCCESS: return .success(value.bytes)
        case MDB_NOTFOUND: return .success(nil)
        case let code: return .failure(LMDBError(code: .init(rawValue: code), operation: "get from \(table.name)"))
        }
    }

    /// The number of entries.
    package func count(of table: Table) throws(LMDBError) -> UInt64 {
        var stat = MDB_stat()
        try check(mdb_stat(handle, table.id, &stat), "stat \(table.name)")
        return UInt64(stat.ms_entries)
    }

    /// Lends a cursor over `table`.
    package func withCursor<Result>(
        in table: Table, _ body: (borrowing Cursor) throws -> Result
    ) throws -> Result {
        var cursor: OpaquePointer?
        try check(mdb_cursor_open(handle, table.id, &cursor), "open cursor in \(table.name)")
        guard let cursor else { throw LMDBError(code: .panic, operation: "open cursor in \(table.name)") }
        defer { mdb_cursor_close(cursor) }
        return try body(Cursor(handle: cursor, tableName: table.name))
    }
}

extension WriteTransaction {
    /// Sets the value at `key`. With `appends`, the key must be greater than all others: quicker, and pages stay full.
    package func put(
        _ value: UnsafeRawBufferPointer, at key: some Collection<UInt8>, in table: Table, appends: Bool = false
    ) throws(LMDBError) {
        let key = Array(key)
        let code = key.withUnsafeBytes { store(value, key: $0, in: table, appends: appends) }
        try check(code, "put into \(table.name)")
    }

    package func put(
        _ value: UnsafeRawBufferPointer, at key: some FixedWidthInteger, in table: Table, appends: Bool = false
    ) throws(LMDBError) {
        var bigEndian = key.bigEndian
        let code = withUnsafeBytes(of: &bigEndian) { store(value, key: $0, in: table, appends: appends) }
        try check(code, "put into \(table.name)")
    }

    private func store(
        _ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, in table: Table, appends: Bool
    ) -> Int32 {
        var keyValue = MDB_val(key)
        var dataValue = MDB_val(value)
        return mdb_put(handle, table.id, &keyValue, &dataValue, appends ? UInt32(MDB_APPEND) : 0)
    }

    package func put(_ value: [UInt8], at key: some Collection<UInt8>, in table: Table) throws(LMDBError) {
        let result: Result<Void, LMDBError> = value.withUnsafeBytes { bytes in
            Result { () throws(LMDBError) in try put(bytes, at: key, in: table) }
        }
        try result.get()
    }

    package func put(
        _ value: [UInt8], at key: some FixedWidthInteger, in table: Table, appends: Bool = false
    ) throws(LMDBError) {
        let result: Result<Void, LMDBError> = value.withUnsafeBytes { bytes in
            Result { () throws(LMDBError) in try put(bytes, at: key, in: table, appends: appends) }
        }
        try result.get()
    }

    /// Makes room for `count` bytes at an integer key and lets `fill` write them: one copy less for large values.
    package func reserve(
        _ count: Int, at key: some Collection<UInt8>, in table: Table, fill: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(LMDBError) {
        let key = Array(key)
        var value = MDB_val(mv_size: count, mv_data: nil)
        let code = key.withUnsafeBytes { bytes in
            var keyValue = MDB_val(bytes)
            return mdb_put(handle, table.id, &keyValue, &value, UInt32(MDB_RESERVE))
        }
        try check(code, "reserve in \(table.name)")
        fill(UnsafeMutableRawBufferPointer(start: value.mv_data, count: count))
    }

    /// Removes the entry at `key`; false when there was none.
    @discardableResult
    package func delete(_ key: some Collection<UInt8>, from table: Table) throws(LMDBError) -> Bool {
        let key = Array(key)
        let code = key.withUnsafeBytes { remove($0, from: table) }
        if code == MDB_NOTFOUND { return false }
        try check(code, "delete from \(table.name)")
        return true
    }

    @discardableResult
    package func delete(_ key: some FixedWidthInteger, from table: Table) throws(LMDBError) -> Bool {
        var bigEndian = key.bigEndian
        let code = withUnsafeBytes(of: &bigEndian) { remove($0, from: table) }
        if code == MDB_NOTFOUND { return false }
        try check(code, "delete from \(table.name)")
        return true
    }

    private func remove(_ key: UnsafeRawBufferPointer, from table: Table) -> Int32 {
        var keyValue = MDB_val(key)
        return mdb_del(handle, table.id, &keyValue, nil)
    }
}

/// A place in a table, in order of keys.
package struct Cursor: ~Copyable {
    /// A key and its value, valid as long as the transaction's values are.
    package typealias Entry = (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)

    let handle: OpaquePointer
    let tableName: String

    package func first() throws(LMDBError) -> Entry? { try move(MDB_FIRST) }
    package func last() throws(LMDBError) -> Entry? { try move(MDB_LAST) }
    package func next() throws(LMDBError) -> Entry? { try move(MDB_NEXT) }

    /// The first entry whose key is not less than `key`.
    package func seek(_ key: some Collection<UInt8>) throws(LMDBError) -> Entry? {
        let key = Array(key)
        let result: Result<Entry?, LMDBError> = key.withUnsafeBytes { bytes in
            Result { () throws(LMDBError) in try move(MDB_SET_RANGE, from: bytes) }
        }
        return try result.get()
    }

    /// The first entry whose integer key is not less than `key`.
    package func seek(_ key: some FixedWidthInteger) throws(LMDBError) -> Entry? {
        var bigEndian = key.bigEndian
        let result: Result<Entry?, LMDBError> = withUnsafeBytes(of: &bigEndian) { bytes in
            Result { () throws(LMDBError) in try move(MDB_SET_RANGE, from: bytes) }
        }
        return try result.get()
    }

    /// Removes the entry that the cursor is at; `next` then yields the one after it. In write transactions only.
    package func deleteCurrent() throws(LMDBError) {
        try check(mdb_cursor_del(handle, 0), "delete from \(tableName)")
    }

    private func move(
        _ operation: MDB_cursor_op, from start: UnsafeRawBufferPointer? = nil
    ) throws(LMDBError) -> Entry? {
        var key = start.map { MDB_val($0) } ?? MDB_val()
        var value = MDB_val()
        switch mdb_cursor_get(handle, &key, &value, operation) {
        case MDB_SUCCESS: return (key.bytes, value.bytes)
        case MDB_NOTFOUND: return nil
        case let code: throw LMDBError(code: .init(rawValue: code), operation: "move in \(tableName)")
        }
    }
}

extension MDB_val {
    init(_ bytes: UnsafeRawBufferPointer) {
        self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
}

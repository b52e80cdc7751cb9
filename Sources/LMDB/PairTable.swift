internal import CLMDB

/// A table that has many values of one size at each key, in the order of their bytes (LMDB's `MDB_DUPFIXED`).
///
/// The values lie close together, without a header each: a scan takes a page of them at a time, some hundred values, for
/// about the price of one step of a cursor.
package struct PairTable: Sendable {
    let id: UInt32
    package let name: String
    /// Bytes of a value.
    package let width: Int
}

extension Environment {
    /// Opens the named table, creating it when it is missing.
    package func openPairTable(_ name: String, width: Int) throws(LMDBError) -> PairTable {
        var transaction: OpaquePointer?
        try check(mdb_txn_begin(handle, nil, 0, &transaction), "begin in \(path)")
        var id: MDB_dbi = 0
        let code = mdb_dbi_open(transaction, name, UInt32(MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED), &id)
        if code != MDB_SUCCESS {
            mdb_txn_abort(transaction)
            throw LMDBError(code: .init(rawValue: code), operation: "open table \(name) of \(path)")
        }
        try commit(transaction)
        return PairTable(id: id, name: name, width: width)
    }
}

extension Transaction where Self: ~Copyable {
    /// Lends the values at `key` that are not less than `lower`, in order and many at a time, until `body` returns false.
    ///
    /// The first run may begin with values that are less than `lower`.
    package func forEachRun(
        at key: UInt16, from lower: [UInt8], in table: PairTable, _ body: (UnsafeRawBufferPointer) throws -> Bool
    ) throws {
        precondition(lower.count == table.width)
        try withPairCursor(in: table) { cursor in
            guard var run = try Self.move(cursor, MDB_GET_BOTH_RANGE, key, lower, table) else { return }
            // The page that the value is on; a single value has none, and the cursor then leaves `run` as it is.
            if let page = try Self.move(cursor, MDB_GET_MULTIPLE, key, nil, table), page.count > 0 { run = page }
            while try body(run) {
                guard let next = try Self.move(cursor, MDB_NEXT_MULTIPLE, key, nil, table), next.count > 0 else {
                    return
                }
                run = next
            }
        }
    }

    fileprivate func withPairCursor<Result>(
        in table: PairTable, _ body: (OpaquePointer) throws -> Result
    ) throws -> Result {
        var cursor: OpaquePointer?
        try check(mdb_cursor_open(handle, table.id, &cursor), "open cursor in \(table.name)")
        guard let cursor else { throw LMDBError(code: .panic, operation: "open cursor in \(table.name)") }
        defer { mdb_cursor_close(cursor) }
        return try body(cursor)
    }

    fileprivate static func move(
        _ cursor: OpaquePointer, _ operation: MDB_cursor_op, _ key: UInt16, _ value: [UInt8]?, _ table: PairTable
    ) throws -> UnsafeRawBufferPointer? {
        var bigEndian = key.bigEndian
        let result: Result<UnsafeRawBufferPointer?, LMDBError> = withUnsafeBytes(of: &bigEndian) { key in
            (value ?? []).withUnsafeBytes { value in
                var keyValue = MDB_val(key)
                var dataValue = MDB_val(value)
                switch mdb_cursor_get(cursor, &keyValue, &dataValue, operation) {
                case MDB_SUCCESS: return .success(dataValue.bytes)
                case MDB_NOTFOUND: return .success(nil)
                case let code:
                    return .failure(LMDBError(code: .init(rawValue: code), operation: "move in \(table.name)"))
                }
            }
        }
        return try result.get()
    }
}

extension WriteTransaction {
    /// Adds a value at `key`; nothing happens when it is there.
    package func put(_ value: UnsafeRawBufferPointer, at key: UInt16, in table: PairTable) throws(LMDBError) {
        precondition(value.count == table.width)
        var bigEndian = key.bigEndian
        let code = withUnsafeBytes(of: &bigEndian) { key in
            var keyValue = MDB_val(key)
            var dataValue = MDB_val(value)
            return mdb_put(handle, table.id, &keyValue, &dataValue, 0)
        }
        try check(code, "put into \(table.name)")
    }

    /// Removes values at `key`, `limit` at most; returns how many.
    package func deleteValues(at key: UInt16, limit: Int, from table: PairTable) throws -> Int {
        try withPairCursor(in: table) { cursor in
            var count = 0
            while count < limit, try Self.move(cursor, MDB_SET, key, nil, table) != nil {
                try check(mdb_cursor_del(cursor, 0), "delete from \(table.name)")
                count += 1
            }
            return count
        }
    }
}

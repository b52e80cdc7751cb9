internal import CLMDB

/// What read and write transactions share: point look-ups and cursors.
package protocol Transaction: ~Copyable {
    var handle: OpaquePointer { get }
    /// Of this module, like the type; what LMDB returns is checked against it.
    var bounds: MapBounds { get }
}

/// What values of a transaction must lie within.
package struct MapBounds: Sendable {
    let map: MappedFile
    /// A write transaction has pages of its own outside of the map.
    let isOnlyMap: Bool

    /// - Throws: `corrupted` when the bytes are not all where they can be.
    @inline(__always)
    func check(_ value: UnsafeRawBufferPointer, _ tableName: String) throws(LMDBError) {
        let isMapped = map.contains(UInt(bitPattern: value.baseAddress))
        guard isMapped ? map.holds(value) : !isOnlyMap else {
            throw LMDBError(code: .corrupted, operation: "read a value of \(value.count) bytes of \(tableName)")
        }
    }

    /// Checks the page that a key is on.
    func checkPage(of key: UnsafeRawBufferPointer, after last: inout UInt, _ tableName: String) throws(LMDBError) {
        let page = UInt(bitPattern: key.baseAddress) & ~(map.pageBytes - 1)
        guard page != last, map.contains(page), let start = UnsafeRawPointer(bitPattern: page) else { return }
        guard LeafPage(start: start, pageBytes: Int(map.pageBytes)).isSound(number: map.number(ofPageAt: page)) else {
            throw LMDBError(
                code: .corrupted, operation: "read page \(map.number(ofPageAt: page)), of \(tableName)")
        }
        last = page
    }
}

/// One consistent state of an environment. Lent to a closure; the values it returns point into the map and are valid only
/// within that closure.
package struct ReadTransaction: ~Copyable, Transaction {
    package let handle: OpaquePointer
    let map: MappedFile
    package var bounds: MapBounds { MapBounds(map: map, isOnlyMap: true) }
}

/// Changes that become visible and durable together. Values that it returned are valid until its next change.
package struct WriteTransaction: ~Copyable, Transaction {
    package let handle: OpaquePointer
    let map: MappedFile
    package var bounds: MapBounds { MapBounds(map: map, isOnlyMap: false) }
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
        switch shoal_lmdb_get(handle, table.id, &key, &value) {
        case MDB_SUCCESS:
            return Result { () throws(LMDBError) in
                try bounds.check(value.bytes, table.name)
                return value.bytes
            }
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
        var page: UInt = 0
        return try withUnsafeMutablePointer(to: &page) { page in
            try body(Cursor(handle: cursor, tableName: table.name, bounds: bounds, checkedPage: page))
        }
    }

    /// The entries between which `key` would be, which is not there.
    ///
    /// A look-up that finds nothing rests on the keys that it was compared with, and above all on these: with their values,
    /// which the caller knows how to check, they are the proof.
    /// - Throws: `corrupted` when they are not on both sides of the key, or it is there.
    package func withNeighbours<Result>(
        of key: [UInt8], in table: Table, _ body: (Cursor.Entry?, Cursor.Entry?) throws -> Result
    ) throws -> Result {
        try withCursor(in: table) { cursor in
            let after = try cursor.seek(key)
            let before = try after == nil ? cursor.last() : cursor.previous()
            let isBetween = key.withUnsafeBytes { key in
                (before?.key.isLess(than: key) ?? true) && (after.map { key.isLess(than: $0.key) } ?? true)
            }
            guard isBetween else {
                throw LMDBError(code: .corrupted, operation: "look up a key of \(table.name), whose keys are not in order")
            }
            return try body(before, after)
        }
    }
}

extension WriteTransaction {
    /// Checks the pages that a change at `key` writes to. LMDB moves entries by what their page says: by a damaged one it
    /// would write over memory that is not its own.
    private func checkPages(around key: [UInt8], in table: Table, isLast: Bool) throws(LMDBError) {
        do {
            try withCursor(in: table) { cursor in
                if try isLast || cursor.seek(key) == nil { _ = try cursor.last() } else { _ = try cursor.previous() }
            }
        } catch let error as LMDBError {
            throw error
        } catch {
            throw LMDBError(code: .panic, operation: "look up a key of \(table.name): \(error)")
        }
    }

    /// Sets the value at `key`. With `appends`, the key must be greater than all others: quicker, and pages stay full.
    package func put(
        _ value: UnsafeRawBufferPointer, at key: some Collection<UInt8>, in table: Table, appends: Bool = false
    ) throws(LMDBError) {
        let key = Array(key)
        try checkPages(around: key, in: table, isLast: appends)
        let code = key.withUnsafeBytes { store(value, key: $0, in: table, appends: appends) }
        try check(code, "put into \(table.name)")
    }

    package func put(
        _ value: UnsafeRawBufferPointer, at key: some FixedWidthInteger, in table: Table, appends: Bool = false
    ) throws(LMDBError) {
        var bigEndian = key.bigEndian
        try checkPages(around: withUnsafeBytes(of: &bigEndian) { Array($0) }, in: table, isLast: appends)
        let code = withUnsafeBytes(of: &bigEndian) { store(value, key: $0, in: table, appends: appends) }
        try check(code, "put into \(table.name)")
    }

    private func store(
        _ value: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, in table: Table, appends: Bool
    ) -> Int32 {
        var keyValue = MDB_val(key)
        var dataValue = MDB_val(value)
        return shoal_lmdb_put(handle, table.id, &keyValue, &dataValue, appends ? UInt32(MDB_APPEND) : 0)
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
        try checkPages(around: key, in: table, isLast: false)
        var value = MDB_val(mv_size: count, mv_data: nil)
        let code = key.withUnsafeBytes { bytes in
            var keyValue = MDB_val(bytes)
            return shoal_lmdb_put(handle, table.id, &keyValue, &value, UInt32(MDB_RESERVE))
        }
        try check(code, "reserve in \(table.name)")
        fill(UnsafeMutableRawBufferPointer(start: value.mv_data, count: count))
    }

    /// Removes the entry at `key`; false when there was none.
    @discardableResult
    package func delete(_ key: some Collection<UInt8>, from table: Table) throws(LMDBError) -> Bool {
        let key = Array(key)
        try checkPages(around: key, in: table, isLast: false)
        let code = key.withUnsafeBytes { remove($0, from: table) }
        if code == MDB_NOTFOUND { return false }
        try check(code, "delete from \(table.name)")
        return true
    }

    @discardableResult
    package func delete(_ key: some FixedWidthInteger, from table: Table) throws(LMDBError) -> Bool {
        var bigEndian = key.bigEndian
        try checkPages(around: withUnsafeBytes(of: &bigEndian) { Array($0) }, in: table, isLast: false)
        let code = withUnsafeBytes(of: &bigEndian) { remove($0, from: table) }
        if code == MDB_NOTFOUND { return false }
        try check(code, "delete from \(table.name)")
        return true
    }

    private func remove(_ key: UnsafeRawBufferPointer, from table: Table) -> Int32 {
        var keyValue = MDB_val(key)
        return shoal_lmdb_del(handle, table.id, &keyValue, nil)
    }
}

/// A place in a table, in order of keys.
package struct Cursor: ~Copyable {
    /// A key and its value, valid as long as the transaction's values are.
    package typealias Entry = (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)

    let handle: OpaquePointer
    let tableName: String
    fileprivate let bounds: MapBounds
    /// The page that was checked last, so that each is once in a walk through the table.
    fileprivate let checkedPage: UnsafeMutablePointer<UInt>

    package func first() throws(LMDBError) -> Entry? { try move(MDB_FIRST) }
    package func last() throws(LMDBError) -> Entry? { try move(MDB_LAST) }
    package func next() throws(LMDBError) -> Entry? { try move(MDB_NEXT) }
    package func previous() throws(LMDBError) -> Entry? { try move(MDB_PREV) }

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
        try check(shoal_lmdb_cursor_del(handle, 0), "delete from \(tableName)")
    }

    private func move(
        _ operation: MDB_cursor_op, from start: UnsafeRawBufferPointer? = nil
    ) throws(LMDBError) -> Entry? {
        var key = start.map { MDB_val($0) } ?? MDB_val()
        var value = MDB_val()
        switch shoal_lmdb_cursor_get(handle, &key, &value, operation) {
        case MDB_SUCCESS:
            try bounds.check(key.bytes, tableName)
            try bounds.checkPage(of: key.bytes, after: &checkedPage.pointee, tableName)
            try bounds.check(value.bytes, tableName)
            return (key.bytes, value.bytes)
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

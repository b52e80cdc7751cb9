internal import CLMDB
internal import Synchronization

/// A named table of an environment.
package struct Table: Sendable {
    let id: UInt32
    package let name: String
}

extension Environment {
    /// Opens the named tables; in an environment without any they are created, in one transaction.
    ///
    /// A table that is missing where others are is damage: one made in its place would say that there never was anything
    /// in it.
    /// - Throws: `LMDBError`, whose code is `corrupted` when a table is missing.
    package func openTables(_ names: [String]) throws(LMDBError) -> [Table] {
        let result: Result<[Table], LMDBError> = openingTables.withLock { _ in
            Result { () throws(LMDBError) in
                let existing = try existingTables(names)
                let tables = if let existing { existing } else { try createTables(names) }
                try map.locate(self)
                return tables
            }
        }
        return try result.get()
    }

    /// Nil when there are no tables at all.
    private func existingTables(_ names: [String]) throws(LMDBError) -> [Table]? {
        let transaction = try beginRead()
        let tables: [Table]
        do throws(LMDBError) {
            // As this transaction sees it: another process may create the tables at this moment.
            var main: MDB_dbi = 0
            var stat = MDB_stat()
            try check(shoal_lmdb_dbi_open(transaction, nil, 0, &main), "open \(path)")
            try check(mdb_stat(transaction, main, &stat), "count the tables of \(path)")
            if stat.ms_entries == 0 {
                mdb_txn_abort(transaction)
                return nil
            }
            tables = try open(names, flags: 0, transaction)
        } catch {
            mdb_txn_abort(transaction)
            guard error.code == .notFound else { throw error }
            throw LMDBError(code: .corrupted, operation: error.operation + ", which is missing")
        }
        // Keeps the handles of the tables; a read transaction commits nothing.
        try commit(transaction)
        return tables
    }

    private func createTables(_ names: [String]) throws(LMDBError) -> [Table] {
        let transaction = try beginWrite()
        let tables: [Table]
        do throws(LMDBError) {
            tables = try open(names, flags: UInt32(MDB_CREATE), transaction)
        } catch {
            mdb_txn_abort(transaction)
            throw error
        }
        try commit(transaction)
        return tables
    }

    private func open(
        _ names: [String], flags: UInt32, _ transaction: OpaquePointer
    ) throws(LMDBError) -> [Table] {
        var tables: [Table] = []
        for name in names {
            var id: MDB_dbi = 0
            try check(shoal_lmdb_dbi_open(transaction, name, flags, &id), "open table \(name) of \(path)")
            tables.append(Table(id: id, name: name))
        }
        return tables
    }
}

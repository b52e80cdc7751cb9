internal import CLMDB
internal import Glibc
internal import Synchronization

/// Where an environment's file lies in memory. What LMDB says is checked against it before it is read: a damaged size or
/// offset would lead out of the page or the file, and to a fault.
final class MappedFile: Sendable {
    let pageBytes: UInt
    private let mapBytes: UInt
    private let descriptor: Int32
    /// 0 until it is known; LMDB does not tell, so it is worked out from the first page that is met.
    private let address = Atomic<UInt>(0)
    /// The size of the file, or less: it only grows.
    private let fileBytes = Atomic<UInt>(0)

    init(_ environment: OpaquePointer) {
        var info = MDB_envinfo()
        var stat = MDB_stat()
        mdb_env_info(environment, &info)
        mdb_env_stat(environment, &stat)
        (mapBytes, pageBytes) = (UInt(info.me_mapsize), UInt(stat.ms_psize))
        var descriptor: mdb_filehandle_t = -1
        mdb_env_get_fd(environment, &descriptor)
        self.descriptor = descriptor
    }

    /// Whether the address is in the map, as all that a read transaction returns is; a write transaction also has pages of
    /// its own elsewhere.
    @inline(__always)
    func contains(_ address: UInt) -> Bool {
        let base = self.address.load(ordering: .relaxed)
        return base != 0 && address >= base && address < base &+ mapBytes
    }

    /// Whether a value lies within a page, or within the pages of its own that a large one has.
    @inline(__always)
    func holds(_ value: UnsafeRawBufferPointer) -> Bool {
        let address = UInt(bitPattern: value.baseAddress)
        let offset = address & (pageBytes &- 1)
        if offset &+ UInt(value.count) <= pageBytes { return true }
        return offset == UInt(LeafPage.headerBytes) && isInFile(address, count: UInt(value.count))
    }

    private func isInFile(_ address: UInt, count: UInt) -> Bool {
        guard contains(address) else { return false }
        let end = address - self.address.load(ordering: .relaxed) + count
        if end <= fileBytes.load(ordering: .relaxed) { return true }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size >= 0 else { return false }
        fileBytes.store(UInt(status.st_size), ordering: .relaxed)
        return end <= UInt(status.st_size)
    }

    /// The number of the page that starts at `address`.
    func number(ofPageAt address: UInt) -> UInt { (address - self.address.load(ordering: .relaxed)) / pageBytes }

    /// Finds the map by the page that the names of the tables are on: it says its own number.
    ///
    /// - Throws: `corrupted` when that does not lead to the first page of the file.
    func locate(_ environment: Environment) throws(LMDBError) {
        guard address.load(ordering: .relaxed) == 0 else { return }
        let transaction = try environment.beginRead()
        defer { mdb_txn_abort(transaction) }
        let names = try firstName(transaction, environment.path)
        let page = UInt(bitPattern: names) & ~(pageBytes - 1)
        guard let start = UnsafeRawPointer(bitPattern: page) else { return }
        let (offset, overflow) = UInt(start.load(as: UInt64.self)).multipliedReportingOverflow(by: pageBytes)
        guard !overflow, offset < page, let base = UnsafeRawPointer(bitPattern: page - offset),
            shoal_is_mapped(base) != 0, base.load(fromByteOffset: 16, as: UInt32.self) == 0xBEEF_C0DE
        else {
            throw LMDBError(code: .corrupted, operation: "find the first page of \(environment.path)")
        }
        address.store(page - offset, ordering: .relaxed)
    }

    private func firstName(_ transaction: OpaquePointer, _ path: String) throws(LMDBError) -> UnsafeMutableRawPointer? {
        var table: MDB_dbi = 0
        try check(shoal_lmdb_dbi_open(transaction, nil, 0, &table), "open the tables of \(path)")
        var cursor: OpaquePointer?
        try check(mdb_cursor_open(transaction, table, &cursor), "open a cursor in \(path)")
        defer { mdb_cursor_close(cursor) }
        var (key, value) = (MDB_val(), MDB_val())
        try check(shoal_lmdb_cursor_get(cursor, &key, &value, MDB_FIRST), "read the tables of \(path)")
        return key.mv_data
    }
}

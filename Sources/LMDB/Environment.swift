internal import CLMDB
internal import Glibc
internal import Synchronization

/// An LMDB environment: one memory-mapped file of tables, with one writer at a time and any number of readers.
///
/// LMDB forbids opening a file twice in a process, so `open` hands out the environment that is open already. Files are told
/// apart by their inodes: a folder that was replaced by another one of the same name is another environment. Transactions
/// are lent to closures and cannot escape them. Read transactions are not bound to threads (`MDB_NOTLS`); a write
/// transaction begins and ends within one closure, so on one thread.
package final class Environment: @unchecked Sendable {
    // Sendable: LMDB's environment handle is made for use by many threads; `tables` is immutable after `open`.
    package struct Options: Sendable {
        /// Bytes of address space: the most that the file can grow to. The file itself grows as pages are written.
        package var mapSizeBytes: Int
        package var maximumTables: UInt32
        /// Slots for concurrent read transactions of all processes.
        package var maximumReaders: UInt32
        /// Whether a commit returns only when its pages are on disk.
        package var syncsCommits: Bool
        /// Nothing in the folder is changed, the lock file included: nobody else may have the environment open.
        package var isReadOnly: Bool
        /// Bytes that the file takes from the disk at once, so that commits go on when the disk is full.
        package var reservedBytes: Int

        package init(
            mapSizeBytes: Int, maximumTables: UInt32 = 16, maximumReaders: UInt32 = 512, syncsCommits: Bool = true,
            isReadOnly: Bool = false, reservedBytes: Int = 0
        ) {
            self.isReadOnly = isReadOnly
            self.reservedBytes = reservedBytes
            self.mapSizeBytes = mapSizeBytes
            self.maximumTables = maximumTables
            self.maximumReaders = maximumReaders
            self.syncsCommits = syncsCommits
        }
    }

    let handle: OpaquePointer
    package let path: String
    private let identity: FileIdentity
    let map: MappedFile
    /// LMDB lets one thread at a time open tables.
    let openingTables = Mutex<Void>(())
    /// Set when a commit met damage: it was left in the middle, and holds LMDB's write lock for good.
    private let isReadOnly: Atomic<Bool>

    private init(handle: OpaquePointer, path: String, identity: FileIdentity, isReadOnly: Bool) {
        self.handle = handle
        self.path = path
        self.identity = identity
        self.isReadOnly = Atomic(isReadOnly)
        map = MappedFile(handle)
    }

    /// The inode of the data file: it cannot be given to another file while the environment is open.
    private struct FileIdentity: Hashable {
        let device: dev_t
        let inode: ino_t

        /// Nil when the folder holds no data file yet.
        init?(folder: String) throws(LMDBError) {
            var status = stat()
            guard stat(folder + "/data.mdb", &status) == 0 else {
                if errno == ENOENT { return nil }
                throw LMDBError(code: .init(rawValue: errno), operation: "open \(folder)")
            }
            (device, inode) = (status.st_dev, status.st_ino)
        }
    }

    deinit {
        Self.registry.withLock { open in
            mdb_env_close(handle)
            open[identity] = nil
        }
    }

    private struct Weak: @unchecked Sendable {
        // Sendable: read and written under the registry's lock only.
        weak var value: Environment?
    }

    private static let registry = Mutex<[FileIdentity: Weak]>([:])

    /// Opens the environment in the folder `path`, which must exist; its files are made when they are missing.
    ///
    /// - Throws: `LMDBError` when the files cannot be opened, are not LMDB's, or are damaged.
    package static func open(_ path: String, options: Options) throws(LMDBError) -> Environment {
        while true {
            let result: Result<Environment?, LMDBError> = registry.withLock { open in
                Result { () throws(LMDBError) in
                    if let identity = try FileIdentity(folder: path), let entry = open[identity] { return entry.value }
                    let environment = try openFile(path, options: options)
                    open[environment.identity] = Weak(value: environment)
                    return environment
                }
            }
            if let environment = try result.get() { return environment }
            // The last reference is gone on another thread, which is about to close the file.
            sched_yield()
        }
    }

    /// Whether this process has the environment in the folder `path` open.
    package static func isOpen(_ path: String) -> Bool {
        guard let identity = try? FileIdentity(folder: path) else { return false }
        return registry.withLock { $0[identity] != nil }
    }

    /// A reader's slot in the lock file, and more than what comes before the first.
    private static let readerBytes = 64
    private static let lockHeaderBytes = 4_096

    private static func openFile(
        _ path: String, options: Options
    ) throws(LMDBError) -> Environment {
        var handle: OpaquePointer?
        try check(mdb_env_create(&handle), "create environment")
        guard let handle else { throw LMDBError(code: .panic, operation: "create environment") }
        do throws(LMDBError) {
            try check(mdb_env_set_mapsize(handle, options.mapSizeBytes), "set map size \(options.mapSizeBytes)")
            try check(mdb_env_set_maxdbs(handle, options.maximumTables), "set maximum tables")
            try check(mdb_env_set_maxreaders(handle, options.maximumReaders), "set maximum readers")
            // No read-ahead: rows are read at random, and a data set may be larger than memory.
            var flags = UInt32(MDB_NOTLS | MDB_NORDAHEAD)
            if !options.syncsCommits { flags |= UInt32(MDB_NOSYNC) }
            if options.isReadOnly { flags |= UInt32(MDB_RDONLY | MDB_NOLOCK) }
            shoal_lmdb_guard(handle)
            if !options.isReadOnly {
                let bytes = Int(options.maximumReaders) * Self.readerBytes + Self.lockHeaderBytes
                try check(shoal_lmdb_reserve_lock_file(path + "/lock.mdb", bytes), "open \(path)")
            }
            try check(shoal_lmdb_env_open(handle, path, flags, 0o644), "open \(path)")
            if options.reservedBytes > 0 { shoal_lmdb_reserve(handle, options.reservedBytes) }
            // Slots of readers that were killed would keep pages from being reused for ever.
            var dead: Int32 = 0
            if !options.isReadOnly { try check(mdb_reader_check(handle, &dead), "check readers of \(path)") }
        } catch {
            mdb_env_close(handle)
            throw error
        }
        guard let identity = try FileIdentity(folder: path) else {
            mdb_env_close(handle)
            throw LMDBError(code: .noSuchFile, operation: "open \(path)")
        }
        return Environment(handle: handle, path: path, identity: identity, isReadOnly: options.isReadOnly)
    }

    /// Lends a read transaction: one consistent state of all tables.
    ///
    /// - Throws: `LMDBError`, and what `body` throws.
    package func read<Result>(_ body: (borrowing ReadTransaction) throws -> Result) throws -> Result {
        let transaction = try beginRead()
        defer { mdb_txn_abort(transaction) }
        return try body(ReadTransaction(handle: transaction, map: map))
    }

    /// Lends a write transaction, waiting for its turn; commits when `body` returns, changes nothing when it throws.
    ///
    /// - Throws: `LMDBError`, and what `body` throws.
    package func write<Result>(_ body: (borrowing WriteTransaction) throws -> Result) throws -> Result {
        let transaction = try beginWrite()
        let result: Result
        do {
            result = try body(WriteTransaction(handle: transaction, map: map))
        } catch {
            mdb_txn_abort(transaction)
            throw error
        }
        try commit(transaction)
        return result
    }

    /// Free bytes of a file system below which a write that was cut short was cut short by the lack of them: one that did
    /// not fit has taken what there was.
    private static let fullDiskBytes: UInt = 1 << 20

    /// Commits a write transaction, which is over then in any case.
    func commit(_ transaction: OpaquePointer) throws(LMDBError) {
        var wasLeft: Int32 = 0
        var code = shoal_lmdb_txn_commit(transaction, &wasLeft)
        if wasLeft != 0 { isReadOnly.store(true, ordering: .releasing) }
        // A damaged page number led to a place that no file has.
        if code == EINVAL { code = MDB_CORRUPTED }
        // LMDB says so of a write that was cut short, whatever the reason.
        if code == EIO, let free = freeDiskBytes, free < Self.fullDiskBytes { code = ENOSPC }
        try check(code, "commit in \(path)")
    }

    private var freeDiskBytes: UInt? {
        var status = statvfs()
        return statvfs(path, &status) == 0 ? UInt(status.f_bavail) * UInt(status.f_frsize) : nil
    }

    func beginWrite() throws(LMDBError) -> OpaquePointer {
        guard !isReadOnly.load(ordering: .acquiring) else {
            throw LMDBError(code: .corrupted, operation: "begin in \(path), which is only read")
        }
        var transaction: OpaquePointer?
        try check(mdb_txn_begin(handle, nil, 0, &transaction), "begin in \(path)")
        guard let transaction else { throw LMDBError(code: .panic, operation: "begin in \(path)") }
        return transaction
    }

    func beginRead() throws(LMDBError) -> OpaquePointer {
        var transaction: OpaquePointer?
        try check(mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &transaction), "begin reading \(path)")
        guard let transaction else { throw LMDBError(code: .panic, operation: "begin reading \(path)") }
        return transaction
    }

    /// Whether each commit waits for the disk from now on. What was committed without is made durable by `sync`, or by the
    /// next commit that waits.
    ///
    /// - Precondition: no two callers at once, and no transaction that writes is open.
    package func setSyncsCommits(_ syncs: Bool) throws(LMDBError) {
        try check(mdb_env_set_flags(handle, UInt32(MDB_NOSYNC), syncs ? 0 : 1), "set the flags of \(path)")
    }

    /// Waits until all committed pages are on disk.
    package func sync() throws(LMDBError) {
        try check(mdb_env_sync(handle, 1), "sync \(path)")
    }

    /// Writes a consistent copy of the environment, without its free pages, to `folder`, which must exist and be empty.
    /// Reads and writes go on meanwhile.
    package func copy(to folder: String) throws(LMDBError) {
        try check(mdb_env_copy2(handle, folder, UInt32(MDB_CP_COMPACT)), "copy \(path) to \(folder)")
    }

    /// Gives back the slots of readers whose processes are gone.
    package func clearStaleReaders() throws(LMDBError) {
        var dead: Int32 = 0
        try check(mdb_reader_check(handle, &dead), "check readers of \(path)")
    }

    /// The number of the last committed write transaction of any process. No lock, no system call.
    package var lastTransactionID: UInt64 {
        var info = MDB_envinfo()
        mdb_env_info(handle, &info)
        return UInt64(info.me_last_txnid)
    }

    /// Bytes of the file in use, free pages included.
    package var usedBytes: UInt64 {
        var info = MDB_envinfo()
        var stat = MDB_stat()
        mdb_env_info(handle, &info)
        mdb_env_stat(handle, &stat)
        return UInt64(info.me_last_pgno + 1) * UInt64(stat.ms_psize)
    }
}

/// A read transaction that outlives a closure: it pins the pages of one state of an environment until it is released.
/// Values read through it may be used by any thread as long as it lives; reading itself is one thread's at a time.
package final class PinnedRead: @unchecked Sendable {
    // Sendable: the handle is used by `read` alone, whose callers keep to one thread at a time, and by deinit.
    private let handle: OpaquePointer
    private let environment: Environment

    package init(_ environment: Environment) throws(LMDBError) {
        self.environment = environment
        handle = try environment.beginRead()
    }

    deinit { mdb_txn_abort(handle) }

    package func read<Result>(_ body: (borrowing ReadTransaction) throws -> Result) rethrows -> Result {
        try body(ReadTransaction(handle: handle, map: environment.map))
    }
}

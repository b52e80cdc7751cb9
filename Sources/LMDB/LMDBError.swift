internal import CLMDB

/// A failure that LMDB or the operating system reported, with what was being done.
package struct LMDBError: Error, Sendable, Equatable, CustomStringConvertible {
    /// LMDB's codes are negative, the operating system's `errno` values positive.
    package struct Code: RawRepresentable, Sendable, Hashable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }

        package static let notFound = Code(rawValue: MDB_NOTFOUND)
        package static let keyExists = Code(rawValue: MDB_KEYEXIST)
        package static let corrupted = Code(rawValue: MDB_CORRUPTED)
        package static let pageNotFound = Code(rawValue: MDB_PAGE_NOTFOUND)
        package static let invalidFile = Code(rawValue: MDB_INVALID)
        package static let versionMismatch = Code(rawValue: MDB_VERSION_MISMATCH)
        package static let panic = Code(rawValue: MDB_PANIC)
        package static let mapFull = Code(rawValue: MDB_MAP_FULL)
        package static let cursorFull = Code(rawValue: MDB_CURSOR_FULL)
        package static let incompatible = Code(rawValue: MDB_INCOMPATIBLE)
        package static let readersFull = Code(rawValue: MDB_READERS_FULL)
        /// `ENOSPC`
        package static let noSpace = Code(rawValue: 28)
        /// `ENOENT`
        package static let noSuchFile = Code(rawValue: 2)
    }

    package var code: Code
    package var operation: String

    package var description: String {
        "\(operation): \(String(cString: mdb_strerror(code.rawValue)))"
    }

    /// Whether the data on disk is not what LMDB wrote. Pages that lead back to themselves fill the stack of a cursor; a
    /// table whose flags are damaged is of another kind than the one that is opened.
    package var isCorruption: Bool {
        [.corrupted, .pageNotFound, .invalidFile, .versionMismatch, .cursorFull, .incompatible].contains(code)
    }

    /// Whether the disk or the map has no room left.
    package var isOutOfSpace: Bool { code == .mapFull || code == .noSpace }
}

/// Throws unless `code` is success.
func check(_ code: Int32, _ operation: @autoclosure () -> String) throws(LMDBError) {
    if code != MDB_SUCCESS { throw LMDBError(code: .init(rawValue: code), operation: operation()) }
}

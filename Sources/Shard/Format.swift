internal import DataModel
internal import CXXHash

/// The bytes on disk. `ARCHITECTURE.md` draws them; every offset is named here once.
enum Format {
    /// Checked at open: another version's data is refused, never guessed at.
    static let version: UInt32 = 6

    /// Rows of a block, the value that one entry of `vectors` or `blocks` holds.
    static let rowsPerBlock = 256

    /// LMDB puts a value on overflow pages behind a 16-byte header: with 48 bytes of padding the rows start on a 64-byte
    /// boundary. The padding's first 8 bytes hold the XXH3 checksum of the rows.
    static let blockPadding = 48

    /// Rows whose deletion bits share one value: 4 KiB.
    static let rowsPerDeletionChunk = 32_768
    static let deletionChunkBytes = rowsPerDeletionChunk / 8

    enum PointsTable {
        static let meta = "meta"
        static let points = "points"
        static let payloads = "payloads"
        static let log = "log"
        static let vectors = "vectors"
        static let deletions = "deletions"
        static let postings = "postings"
        static let numbers = "numbers"
        static let requests = "requests"
        static let all = [meta, points, payloads, log, vectors, deletions, postings, numbers, requests]
    }

    enum IndexTable {
        static let meta = "meta"
        static let blocks = "blocks"
        static let all = [meta, blocks]
    }

    enum MetaKey {
        static let state = Array("state".utf8)
        static let schema = Array("schema".utf8)
        static let epochs = Array("epochs".utf8)
        static let payloadIndexes = Array("payload indexes".utf8)
        static let layout = Array("layout".utf8)
    }

    /// (space, block number), both big-endian.
    static func vectorBlockKey(space: Int, block: Int) -> [UInt8] {
        var key: [UInt8] = []
        key.append(bigEndian: UInt16(space))
        key.append(bigEndian: UInt32(block))
        return key
    }

    /// (space, column, block number).
    static func indexBlockKey(space: Int, column: GraphColumn, block: Int) -> [UInt8] {
        var key: [UInt8] = []
        key.append(bigEndian: UInt16(space))
        key.append(column.rawValue)
        key.append(bigEndian: UInt32(block))
        return key
    }

    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 { shoal_xxh3(bytes.baseAddress, bytes.count) }
}

/// The columns of a graph, as numbered in the keys of `blocks`.
enum GraphColumn: UInt8, CaseIterable {
    case levelZeroLinks = 0
    case nodes = 1
    case upperLinks = 2
    case codes = 3
}

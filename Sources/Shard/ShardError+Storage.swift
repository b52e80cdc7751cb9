internal import DataModel
internal import LMDB

extension ShardError {
    /// Widens what the storage layers throw into what a shard says of it.
    init(storage error: any Error) {
        switch error {
        case let error as ShardError: self = error
        case let error as LMDBError where error.isOutOfSpace: self = .outOfSpace(reason: error.description)
        case let error as LMDBError where error.isCorruption: self = .corrupted(reason: error.description)
        case let error as BinaryFormatError: self = .corrupted(reason: error.description)
        default: self = .storage(reason: String(describing: error))
        }
    }
}

/// Runs `body`, and says of any failure what a shard says of it.
func storing<Result>(_ body: () throws -> Result) throws(ShardError) -> Result {
    do {
        return try body()
    } catch {
        throw ShardError(storage: error)
    }
}

internal import DataModel
internal import Foundation
internal import LMDB

/// What `meta` holds. All values are there from the beginning, so that one that is missing is damage; the layout alone is
/// missing in shards of before there was one.
extension PointStore {
    func loadSchema() throws -> ShardSchema {
        try environment.read { transaction in
            // First, since it knows the version of the format.
            _ = try loadState(transaction)
            let bytes = try sealed(Format.MetaKey.schema, "the schema", transaction)
            do {
                return try JSONDecoder().decode(ShardSchema.self, from: Data(bytes))
            } catch {
                throw ShardError.corrupted(reason: "\(environment.path) has no schema that can be read")
            }
        }
    }

    /// Checks the stored schema against `schema`, or stores it in a new shard, with the rest of the books.
    func checkSchema(_ schema: ShardSchema) throws {
        let isNew = try environment.read { transaction in try transaction.count(of: meta) == 0 }
        guard isNew else {
            guard try loadSchema() == schema else {
                throw ShardError.storage(reason: "\(environment.path) holds points of another schema")
            }
            return
        }
        let bytes = Array(try JSONEncoder().encode(schema))
        try environment.write { transaction in
            try put(bytes, at: Format.MetaKey.schema, transaction)
            try save(PointsState(), transaction)
            try save(EpochHistory(), transaction)
            try save(PayloadIndexCatalog(), transaction)
            try save(RowLayout.first, transaction)
        }
    }

    func loadState(_ transaction: borrowing ReadTransaction) throws -> PointsState {
        try Self.loadState(from: meta, of: environment, transaction)
    }

    static func loadState(
        from meta: Table, of environment: Environment, _ transaction: borrowing ReadTransaction
    ) throws -> PointsState {
        guard let bytes = try transaction.get(Format.MetaKey.state, in: meta) else {
            throw ShardError.corrupted(reason: "\(environment.path) has no state")
        }
        // Not sealed at its key: former versions are to be known by it.
        return try PointsState(decoding: try Sealed.contents(of: bytes, "the state in `meta`"))
    }

    func save(_ state: PointsState, _ transaction: borrowing WriteTransaction) throws {
        try transaction.put(Sealed.bytes(state.encoded()), at: Format.MetaKey.state, in: meta)
    }

    func loadEpochs(_ transaction: borrowing ReadTransaction) throws -> EpochHistory {
        try EpochHistory(decoding: try sealed(Format.MetaKey.epochs, "the epochs", transaction))
    }

    func save(_ epochs: EpochHistory, _ transaction: borrowing WriteTransaction) throws {
        try put(epochs.encoded(), at: Format.MetaKey.epochs, transaction)
    }

    func loadPayloadIndexes(_ transaction: borrowing some Transaction & ~Copyable) throws -> PayloadIndexCatalog {
        try PayloadIndexCatalog(
            decoding: try sealed(Format.MetaKey.payloadIndexes, "the list of payload indexes", transaction))
    }

    func save(_ catalog: PayloadIndexCatalog, _ transaction: borrowing WriteTransaction) throws {
        try put(catalog.encoded(), at: Format.MetaKey.payloadIndexes, transaction)
    }

    func loadLayout(_ transaction: borrowing some Transaction & ~Copyable) throws -> RowLayout? {
        guard try transaction.get(Format.MetaKey.layout, in: meta) != nil else { return nil }
        return try RowLayout(decoding: try sealed(Format.MetaKey.layout, "the layout", transaction))
    }

    func save(_ layout: RowLayout, _ transaction: borrowing WriteTransaction) throws {
        try put(layout.encoded(), at: Format.MetaKey.layout, transaction)
    }

    private func put(_ bytes: [UInt8], at key: [UInt8], _ transaction: borrowing WriteTransaction) throws {
        try transaction.put(Sealed.bytes(bytes, at: Sealed.number(of: key)), at: key, in: meta)
    }

    private func sealed(
        _ key: [UInt8], _ name: String, _ transaction: borrowing some Transaction & ~Copyable
    ) throws -> UnsafeRawBufferPointer {
        guard let value = try transaction.get(key, in: meta) else {
            throw ShardError.corrupted(reason: "\(name) in `meta` is missing")
        }
        return try Sealed.contents(of: value, at: Sealed.number(of: key), "\(name) in `meta`")
    }
}
